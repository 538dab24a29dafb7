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
def have(requirement):
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)
requirements = [Requirement(text) for text in requires]
# Older ones need it, and say so only when they are asked.
if any(one.name == "setuptools" for one in requirements) and not have(Requirement("setuptools>=70.1")):
    requirements.append(Requirement("wheel"))
for one in requirements:
    if (not one.marker or one.marker.evaluate()) and not have(one):
        print(one)
'
