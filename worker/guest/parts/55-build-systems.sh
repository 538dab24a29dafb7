# --- What a source is built with ------------------------------------------------------------------------------

# What a source is built with; the first that fits counts.
build_system() {
  if [ -e CMakeLists.txt ]; then echo cmake
  elif [ -e meson.build ]; then echo meson
  elif [ -e configure ] || [ -e configure.ac ] || [ -e configure.in ]; then echo autotools
  elif [ -e Makefile ] || [ -e makefile ] || [ -e GNUmakefile ]; then echo make
  elif [ -e Cargo.toml ]; then echo cargo
  elif [ -e go.mod ]; then echo go
  elif [ -e package.json ]; then echo npm; fi
}

# Whether make knows a target: a dry run that fails for another reason fails again, visibly, in the real run.
knows_target() {
  ! make -n "$@" 2>&1 > /dev/null 7>&- | grep -q -e "No rule to make target [\`']${1}'" -e "know how to make $1"
}

npm_script() { sed -n '/"scripts"/,/}/p' package.json | grep "\"$1\"[[:space:]]*:" | grep -q -v 'no test specified'; }

build_step() {
  jobs=$(nproc)
  prefix=/usr/local
  case $(build_system)-$operation in
    cmake-configure) shown cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release "$@" ;;
    cmake-update) shown cmake --build "$build" --parallel "$jobs" ;;
    cmake-test)
      (cd "$build" && ctest -N 2>&1 7>&-) | grep -q 'Total Tests: 0$' && absent
      cd "$build" && shown ctest --output-on-failure
      ;;
    cmake-install)
      find "$build" -name cmake_install.cmake -exec cat {} + | grep -q 'file(INSTALL' || absent
      shown cmake -P "$build/cmake_install.cmake"
      ;;
    meson-configure) shown meson setup "$build" . "$@" ;;
    meson-update) shown meson compile -C "$build" ;;
    meson-test)
      [ -n "$(meson test -C "$build" --list 2> /dev/null 7>&-)" ] || absent
      shown meson test -C "$build" --print-errorlogs
      ;;
    meson-install) shown meson install -C "$build" ;;
    autotools-configure)
      [ -e configure ] || shown autoreconf -fi || return
      mkdir -p "$build" && cd "$build" && shown "$source/configure" "$@"
      ;;
    autotools-update) cd "$build" && shown make -j "$jobs" ;;
    autotools-test) cd "$build" && if knows_target check; then shown make check; else absent; fi ;;
    autotools-install) cd "$build" && shown make install "DESTDIR=$stage" ;;
    make-update) shown make -j "$jobs" "$@" ;;
    make-test)
      if knows_target check "$@"; then shown make check "$@"
      elif knows_target test "$@"; then shown make test "$@"
      else absent; fi
      ;;
    make-install) if knows_target install "$@"; then shown make install "DESTDIR=$stage" "$@"; else absent; fi ;;
    cargo-update) shown cargo build --release "$@" ;;
    cargo-test) shown cargo test --release "$@" ;;
    cargo-install)
      [ -e src/main.rs ] || [ -d src/bin ] || grep -q '^\[\[bin\]\]' Cargo.toml || absent
      shown cargo install --path . --root "$stage$prefix"
      ;;
    go-update) shown go build "$@" ./... ;;
    go-test) shown go test "$@" ./... ;;
    go-install)
      go list -f '{{.Name}}' ./... 7>&- | grep -q -x main || absent
      GOBIN=$stage$prefix/bin shown go install "$@" ./...
      ;;
    npm-configure) if [ -e package-lock.json ]; then shown npm ci; else shown npm install; fi ;;
    npm-update) if npm_script build; then shown npm run build; else absent; fi ;;
    npm-test) if npm_script test; then shown npm test; else absent; fi ;;
    npm-install) mkdir -p "$upload/artifact" && shown npm pack --pack-destination "$upload/artifact" ;;
    *) absent ;;
  esac
}
