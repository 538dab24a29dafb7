# --- Python ---------------------------------------------------------------------------------------------------

# A wheel is built and delivered, and tested by pytest, or else by unittest, in a directory that it is installed in.
python_step() {
  need python3
  export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
  wheels=$build/wheels site=$build/site
  case $operation in
    update)
      python3 -m pip --version > /dev/null 2>&1 7>&- ||
        { [ ! -e .croft/update ] || absent && stop "this machine's python3 has no pip (Debian's package python3-pip)"; }
      set -- --no-deps --wheel-dir "$wheels" "$@" .
      missing=$(python3 -c "$python_requirements" 2>&1 7>&-)
      if [ -z "$missing" ]; then set -- --no-build-isolation "$@"
      else tell "what builds this source is not in this machine, pip gets it: $(printf '%s' "$missing" | tr '\n' ' ')"; fi
      shown python3 -m pip wheel "$@"
      ;;
    test)
      if [ -n "$(find "$wheels" -name '*.whl' 2> /dev/null)" ]; then
        python3 -m pip install -q --no-deps --no-index --target "$site" "$wheels"/*.whl 7>&- || return
      fi
      PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
      export PYTHONPATH
      python_tests
      ;;
    install) deliver "$wheels"/*.whl ;;
    *) absent ;;
  esac
}

python_tests() {
  if python3 -c 'import pytest' 2> /dev/null 7>&-; then
    python3 -m pytest --collect-only -q > /dev/null 2>&1 7>&-
    [ $? != 5 ] || absent
    shown python3 -m pytest
    return
  fi
  for tests in . tests test; do
    [ -d "$tests" ] || continue
    python3 -c 'import sys, unittest
sys.path.insert(0, "")
sys.exit(unittest.defaultTestLoader.discover(sys.argv[1]).countTestCases() == 0)' "$tests" > /dev/null 2>&1 7>&- || continue
    shown python3 -m unittest discover -v -s "$tests"
    return
  done
  absent
}

# Prints what pyproject.toml requires for building and the machine does not have; nothing if all is there.
python_requirements='
import os, sys
from importlib import metadata
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
from pip._vendor.packaging.requirements import Requirement
requires = ["setuptools", "wheel"]
if os.path.exists("pyproject.toml"):
    with open("pyproject.toml", "rb") as file:
        requires = tomllib.load(file).get("build-system", {}).get("requires", requires)
if any(Requirement(text).name == "setuptools" for text in requires):
    try:
        import setuptools.command.bdist_wheel # since 70.1
    except ImportError:
        requires.append("wheel")
for text in requires:
    requirement = Requirement(text)
    if requirement.marker and not requirement.marker.evaluate():
        continue
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        version = None
    if version is None or not requirement.specifier.contains(version, prereleases=True):
        print(text)
'
