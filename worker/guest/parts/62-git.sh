# --- Fetching from git ----------------------------------------------------------------------------------------

# CROFT_GIT_DEPTH, of the submission, worker.conf or the environment: how many commits, with their tags; 0 for all. Without it
# only what is built is fetched, if the server can do so (a "dumb" HTTP server cannot), and the tags that name it.
git_get() { # a reference or a commit, into FETCH_HEAD
  # Tags come by themselves only where the reference is kept.
  case $1 in
    refs/heads/*) kept=+$1:refs/remotes/origin/${1#refs/heads/} ;;
    refs/tags/*) kept=+$1:$1 ;;
    *) kept=$1 ;;
  esac
  case ${CROFT_GIT_DEPTH:-} in
    0) traced git fetch -q --tags origin "$1" ;;
    '') traced git fetch -q --no-tags --depth 1 origin "$1" || traced git fetch -q --no-tags origin "$1" ;;
    *) traced git fetch -q --depth "$CROFT_GIT_DEPTH" origin "$kept" || traced git fetch -q origin "$kept" ;;
  esac
}

git_get_all() {
  set --
  [ "$(git rev-parse --is-shallow-repository)" != true ] || set -- --unshallow
  traced git fetch -q "$@" origin '+refs/*:refs/remotes/origin/*'
}

# Prints the full name of a branch or tag, if the repository has it; a tag before a branch, as git has it.
known_reference() {
  for name in "refs/tags/$1" "refs/heads/$1" "$1"; do
    ! cut -f 2 "$refs" | grep -q -x -F -e "$name" || { echo "$name" && return; }
  done
}

is_commit() { # as much of one as git accepts
  case $1 in *[!0-9a-f]*) return 1 ;; ????*) ;; *) return 1 ;; esac
}
is_whole() { [ ${#1} = 40 ] || [ ${#1} = 64 ]; }

# Sets reference and commit from the fragment of the URL: a branch or tag (which may have an "@" in its name), a commit, or both.
read_fragment() {
  reference='' commit=''
  if [ -z "$fragment" ]; then
    [ "${version:-0}" != 0 ] || return 0
    reference=$(known_reference "refs/tags/v$version")
    [ -n "$reference" ] || reference=$(known_reference "refs/tags/$version")
    [ -n "$reference" ] || { echo "croft-worker: the repository has neither tag v$version nor $version" && return 1; }
    return
  fi
  reference=$(known_reference "$fragment")
  [ -z "$reference" ] || return 0
  if is_commit "$fragment"; then commit=$fragment
  elif is_commit "${fragment##*@}" && [ "${fragment#*@}" != "$fragment" ]; then
    commit=${fragment##*@}
    reference=$(known_reference "${fragment%@*}")
    reference=${reference:-${fragment%@*}}
  else reference=$fragment; fi # of another kind, such as pull/1/head; git says if there is none
}

# Fetches the commit: of part of its name, from the history of its branch, or from all there is.
get_commit() {
  if is_whole "$commit"; then
    # A server need not hand out a commit by its name alone.
    git_get "$commit" ||
      { [ -n "$reference" ] && git_get "$reference" && git cat-file -e "$commit^{commit}" 2> /dev/null; } ||
      git_get_all
    return
  fi
  if [ -n "$reference" ]; then traced git fetch -q --no-tags origin "$reference"; else git_get_all; fi || return
  whole=$(git rev-parse --verify "$commit^{commit}") ||
    { echo "croft-worker: no commit, branch or tag '$commit'${reference:+ in $reference}" && return 1; } || return
  commit=$whole
}

# The tags of what is built, for "git describe".
get_tags() {
  head=$(git rev-parse HEAD) || return
  for tag in $(sed -n "s|^$head${tab}refs/tags/\(.*\)$|\1|p" "$refs" | sed 's/\^{}$//' | head -n 20); do
    [ -n "$(git tag -l "$tag")" ] || git fetch -q --no-tags --depth 1 origin "+refs/tags/$tag:refs/tags/$tag" 2> /dev/null ||
      git fetch -q --no-tags origin "+refs/tags/$tag:refs/tags/$tag" || return
  done
}

fetch_git() {
  has git || { echo "croft-worker: git is not installed in this machine" && return 1; }
  # Never ask; give up on a server that has fallen silent.
  export GIT_TERMINAL_PROMPT=0 GIT_HTTP_LOW_SPEED_LIMIT=100 GIT_HTTP_LOW_SPEED_TIME=120
  ! field variable-CROFT_GIT_DEPTH || CROFT_GIT_DEPTH=$value
  fragment='' refs=$state/refs
  case $url in *'#'*) fragment=${url#*'#'} ;; esac
  echo "+ git ls-remote ${url%%'#'*}"
  git ls-remote -q --heads --tags "${url%%'#'*}" > "$refs" || return
  read_fragment || return
  # Repositories name their commits by SHA-1, or by SHA-256.
  set --
  [ "$(head -n 1 "$refs" | cut -f 1 | tr -d '\n' | wc -c)" -ne 64 ] || set -- --object-format=sha256
  git init -q "$@" "$source" && cd "$source" && git remote add origin "${url%%'#'*}" || return
  if [ -n "$commit" ]; then get_commit; else git_get "${reference:-HEAD}"; fi || return
  if git lfs version > /dev/null 2>&1; then git lfs install --local > /dev/null; fi
  git -c advice.detachedHead=false checkout -q --detach "${commit:-FETCH_HEAD}" || return
  get_tags
  set -- --depth 1
  [ "${CROFT_GIT_DEPTH:-1}" != 0 ] || set --
  [ ! -e .gitmodules ] || traced git submodule update -q --init --recursive "$@" ||
    traced git submodule update -q --init --recursive || return
  if grep -q -s 'filter=lfs' .gitattributes && ! git lfs version > /dev/null 2>&1; then
    echo "croft-worker: files in Git LFS are left as pointers: git-lfs is not installed in this machine"
  fi
  git rev-parse HEAD | tee "$state/commit" > "$state/identity"
  git log -1 --format='==> commit: %H%n==> author: %an <%ae>%n==> date: %aI%n==> subject: %s'
  reference=${reference#refs/tags/}
  case ${reference#v} in [0-9]*) printf '%s\n' "${reference#v}" > "$state/version" ;; esac
}

