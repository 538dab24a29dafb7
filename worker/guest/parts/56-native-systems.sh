# --- Build systems of languages that are compiled with make and the like --------------------------------------

cmake_step() {
  need cmake
  case $operation in
    configure) shown cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release "$@" ;;
    update) shown cmake --build "$build" --parallel "$jobs" ;;
    test)
      (cd "$build" && ctest -N 2>&1 7>&-) | grep -q 'Total Tests: 0$' && absent
      cd "$build" && shown ctest --output-on-failure
      ;;
    install)
      find "$build" -name cmake_install.cmake -exec cat {} + | grep -q 'file(INSTALL' || absent
      shown cmake -P "$build/cmake_install.cmake"
      ;;
  esac
}

meson_step() {
  need meson
  case $operation in
    configure) shown meson setup "$build" . "$@" ;;
    update) shown meson compile -C "$build" ;;
    test)
      [ -n "$(meson test -C "$build" --list 2> /dev/null 7>&-)" ] || absent
      shown meson test -C "$build" --print-errorlogs
      ;;
    install) shown meson install -C "$build" ;;
  esac
}

autotools_step() {
  if [ "$operation" = configure ]; then
    if [ ! -e configure ]; then need autoreconf && shown autoreconf -fi || return; fi
    # An archive, or a checkout, may have lost the mode.
    if [ ! -x configure ]; then set -- sh "$source/configure" "$@"; else set -- "$source/configure" "$@"; fi
    mkdir -p "$build" && cd "$build" && shown "$@"
    return
  fi
  need make
  cd "$build" || return
  case $operation in
    update) shown make -j "$jobs" ;;
    test) if knows_target check; then shown make check; else absent; fi ;;
    install) shown make install "DESTDIR=$stage" ;;
  esac
}

make_step() {
  need make
  case $operation in
    update) shown make -j "$jobs" "$@" ;;
    test)
      if knows_target check "$@"; then shown make check "$@"
      elif knows_target test "$@"; then shown make test "$@"
      else absent; fi
      ;;
    install) if knows_target install "$@"; then shown make install "DESTDIR=$stage" "$@"; else absent; fi ;;
    *) absent ;;
  esac
}

# Whether make knows a target: a dry run that fails for another reason fails again, visibly, in the real run.
knows_target() {
  ! make -n "$@" 2>&1 > /dev/null 7>&- | grep -q -e "No rule to make target [\`']${1}'" -e "know how to make $1"
}

# Perl: built in the source, as ExtUtils::MakeMaker and Module::Build know it no other way.
perl_step() {
  need perl
  export PERL_MM_USE_DEFAULT=1
  if [ "$sign" = Makefile.PL ]; then
    need make
    case $operation in
      configure) shown perl Makefile.PL "$@" ;;
      update) shown make -j "$jobs" ;;
      test) shown make test ;;
      install) shown make install "DESTDIR=$stage" ;;
    esac
  else
    case $operation in
      configure) shown perl Build.PL "$@" ;;
      update) shown ./Build ;;
      test) shown ./Build test ;;
      install) shown ./Build install --destdir "$stage" ;;
    esac
  fi
}

zig_step() {
  need zig
  case $operation in
    update) shown zig build --prefix "$build" "$@" ;;
    test) if zig build --list-steps 2> /dev/null 7>&- | grep -q '^ *test\( \|$\)'; then shown zig build test "$@"; else absent; fi ;;
    install) shown zig build install --prefix "$stage$prefix" "$@" ;;
    *) absent ;;
  esac
}

bazel_step() {
  need bazel bazelisk
  case $operation in
    update) shown "$program" build "$@" //... ;;
    test)
      [ -n "$("$program" query 'tests(//...)' 2> /dev/null 7>&-)" ] || absent
      shown "$program" test --test_output=errors "$@" //...
      ;;
    *) absent ;;
  esac
}

# Debian: one package build is all, its tests among it; what it makes lies beside the source.
debian_step() {
  need dpkg-buildpackage
  case $operation in
    configure) shown dpkg-checkbuilddeps ;;
    update) DEB_BUILD_OPTIONS=${DEB_BUILD_OPTIONS:-parallel=$jobs} shown dpkg-buildpackage -b -us -uc "$@" ;;
    install) deliver ../*.deb ../*.udeb ../*.changes ../*.buildinfo ;;
    *) absent ;;
  esac
}
