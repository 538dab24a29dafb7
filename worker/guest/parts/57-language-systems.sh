# --- Build systems that come with a language ------------------------------------------------------------------

cargo_step() {
  need cargo
  case $operation in
    update) shown cargo build --release "$@" ;;
    test) shown cargo test --release "$@" ;;
    install)
      # A workspace without a package of its own has nothing at this path.
      grep -q '^\[package\]' Cargo.toml || absent
      [ -e src/main.rs ] || [ -d src/bin ] || grep -q '^\[\[bin\]\]' Cargo.toml || absent
      # Cargo warns of a directory that is not in PATH, and keeps lists of what it installed.
      PATH=$PATH:$stage$prefix/bin shown cargo install --path . --root "$stage$prefix" || return
      rm -f "$stage$prefix/.crates.toml" "$stage$prefix/.crates2.json"
      ;;
    *) absent ;;
  esac
}

go_step() {
  need go
  case $operation in
    update) shown go build "$@" ./... ;;
    test) shown go test "$@" ./... ;;
    install)
      go list -f '{{.Name}}' ./... 7>&- | grep -q -x main || absent
      GOBIN=$stage$prefix/bin shown go install "$@" ./...
      ;;
    *) absent ;;
  esac
}

npm_step() {
  need npm
  case $operation in
    configure) if [ -e package-lock.json ]; then shown npm ci; else shown npm install; fi ;;
    update) if npm_script build; then shown npm run build; else absent; fi ;;
    test) if npm_script test; then shown npm test; else absent; fi ;;
    install) mkdir -p "$upload/artifact" && shown npm pack --pack-destination "$upload/artifact" ;;
  esac
}

npm_script() { sed -n '/"scripts"/,/}/p' package.json | grep "\"$1\"[[:space:]]*:" | grep -q -v 'no test specified'; }

maven_step() {
  maven=./mvnw
  [ -x "$maven" ] || { need mvn && maven=mvn; }
  case $operation in
    update) shown "$maven" -B -ntp -DskipTests package "$@" ;;
    test)
      [ -n "$(find . -path '*/src/test/*' -type f | head -n 1)" ] || absent
      shown "$maven" -B -ntp test "$@"
      ;;
    install) deliver target/*.jar target/*.war target/*.ear ./*/target/*.jar ./*/target/*.war ;;
    *) absent ;;
  esac
}

gradle_step() {
  if [ -e gradlew ]; then set -- sh ./gradlew --no-daemon --console=plain "$@"
  else
    need gradle
    set -- gradle --no-daemon --console=plain "$@"
  fi
  case $operation in
    update) shown "$@" assemble ;;
    test)
      [ -n "$(find . -path '*/src/test/*' -type f | head -n 1)" ] || absent
      shown "$@" test
      ;;
    install) deliver build/libs/* ./*/build/libs/* build/distributions/*.tar ./*/build/distributions/*.tar ;;
    *) absent ;;
  esac
}

dotnet_step() {
  need dotnet
  export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
  case $operation in
    configure) shown dotnet restore "$sign" "$@" ;;
    update) shown dotnet build "$sign" --no-restore -c Release "$@" ;;
    test)
      find . -name '*proj' -exec cat {} + | grep -q Microsoft.NET.Test.Sdk || absent
      shown dotnet test "$sign" --no-build -c Release "$@"
      ;;
    install)
      field name
      shown dotnet publish "$sign" --no-build -c Release "-p:PublishDir=$stage$prefix/lib/$value/" "$@"
      ;;
  esac
}

# Haskell: from the packages that the machine has, where it knows none of Hackage's and the source can do so.
cabal_step() {
  need cabal
  need ghc
  setup=Setup.hs
  [ ! -e Setup.lhs ] || setup=Setup.lhs
  if [ "$operation" = configure ]; then
    if [ ! -d "$HOME/.cabal/packages" ] && [ ! -d "$HOME/.cache/cabal/packages" ]; then
      if [ -e "$setup" ] && has runhaskell; then
        shown runhaskell "$setup" configure --user --prefix="$prefix" --enable-tests "$@" && return
      fi
      shown cabal v2-update || return
    fi
    shown cabal v2-configure --enable-tests "$@"
    return
  fi
  tests=$(grep -l -i '^test-suite' ./*.cabal ./*/*.cabal 2> /dev/null)
  [ "$operation" != test ] || [ -n "$tests" ] || absent
  if [ -e dist/setup-config ]; then
    case $operation in
      update) shown runhaskell "$setup" build ;;
      test) shown runhaskell "$setup" test ;;
      install) shown runhaskell "$setup" copy --destdir="$stage" ;;
    esac
    return
  fi
  case $operation in
    update) shown cabal v2-build all ;;
    test) shown cabal v2-test all ;;
    install)
      grep -q -i '^executable' ./*.cabal 2> /dev/null || absent
      shown cabal v2-install --install-method=copy --installdir="$stage$prefix/bin" exe:all
      ;;
  esac
}

# Ruby: the gem is built, Rake's task "test" or "spec" tests it; without a gem Rake's default task is the build.
ruby_step() {
  gemspec=
  for name in *.gemspec; do [ ! -e "$name" ] || gemspec=$name; done
  rake=rake
  if [ -e Gemfile ] && has bundle; then rake='bundle exec rake'; fi
  case $operation in
    configure)
      [ "$rake" != rake ] || absent
      if bundle check > /dev/null 2>&1 7>&-; then absent; else shown bundle install "$@"; fi
      ;;
    update)
      if [ -n "$gemspec" ]; then need gem && mkdir -p "$build" && shown gem build "$gemspec" --output "$build/${gemspec%.gemspec}.gem"
      else
        [ "$rake" != rake ] || need rake
        # shellcheck disable=SC2086
        shown $rake "$@"
      fi
      ;;
    test)
      [ -e Rakefile ] || absent
      [ "$rake" != rake ] || need rake
      # shellcheck disable=SC2086
      task=$($rake -P 2> /dev/null 7>&- | sed -n 's/^rake \(test\|spec\)$/\1/p' | head -n 1)
      # shellcheck disable=SC2086
      if [ -n "$task" ]; then shown $rake "$task" "$@"; else absent; fi
      ;;
    install) deliver "$build"/*.gem ;;
  esac
}

r_step() {
  need R
  mkdir -p "$build" && cd "$build" || return
  case $operation in
    update) shown R CMD build --no-build-vignettes "$@" "$source" ;;
    test)
      [ -d "$source/tests" ] || absent
      _R_CHECK_FORCE_SUGGESTS_=false shown R CMD check --no-manual --ignore-vignettes ./*.tar.gz
      ;;
    install)
      library=$stage$prefix/lib/R/site-library
      mkdir -p "$library" && shown R CMD INSTALL --library="$library" ./*.tar.gz && deliver ./*.tar.gz
      ;;
    *) absent ;;
  esac
}
