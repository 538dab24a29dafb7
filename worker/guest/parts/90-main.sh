# --- Command line ---------------------------------------------------------------------------------------------

case $0 in
  /*) self=$0 ;;
  *) self=$PWD/$0 ;;
esac
case ${1:-} in
  bootstrap) do_bootstrap ;;
  task) do_task ;;
  get)
    get "${2:?}" "${3:?}"
    ;;
  shell) open_shell ;;
  with-variables)
    shift
    run_with_variables "$@"
    ;;
  artifact)
    shift
    make_deliverable "$@"
    ;;
  git-credential) answer_git "${2:-}" ;;
  git-ssh)
    shift
    connect_git "$@"
    ;;
  operation)
    target=$CROFT_TARGET
    run_operation "${2:?}"
    ;;
  *)
    echo "usage: croft-worker bootstrap | task | get NAME FILE | shell" >&2
    exit 64
    ;;
esac
