/**
 * What runs on a host besides the worker: POSIX shell, evaluated by the host's connection (connection.ts). Each prints one
 * line with the marker when it is done, so that banners and chatter of a login shell do no harm.
 */
import type { SourceRepository } from "../matrix/git.ts";
import { quote } from "../../os/text/shell-word.ts";
import { quotePath } from "./ssh.ts";

/** Begins the lines that are answers. */
export const marker = "CROFT> ";

/** Messages are the same on all hosts, whatever is set there: in UTF-8, but where programs would warn that it is unknown. */
const speakEnglish =
  "unset LANGUAGE; LC_ALL=C; for l in $(locale -a 2>/dev/null </dev/null); do " +
  "case $l in C.[uU][tT][fF]8|C.[uU][tT][fF]-8) LC_ALL=C.UTF-8 ;; esac; done; LANG=$LC_ALL; export LC_ALL LANG";

/** For short commands: what programs complain of is read here. */
const plainLanguage = "LC_ALL=C; export LC_ALL";

/** What git starts on a host to take a push, in whatever login shell. */
export const receivePack = "env LC_ALL=C git-receive-pack";

/** Reads `$n` bytes and no more, at once where dd can: where it cannot, it has read nothing. */
const readBytes = 'dd bs="$n" count=1 iflag=fullblock 2>/dev/null || dd bs=1 count="$n" 2>/dev/null';

/**
 * The loop of a connection's shell, as one line for whatever login shell there is: reads the length of a script, the script,
 * and evaluates it. It ends when the connection does.
 */
export const shellLoop = `exec sh -c '${speakEnglish}; while read -r n; do s=$(${readBytes}; echo .); eval "\${s%.}"; done'`;

/** Shell that prints an answer; `text` is one quoted word. */
export const answer = (text: string) => `printf '\\n${marker}%s\\n' ${text}`;

/**
 * Takes the work directory: makes it, locks it, and makes it a clean repository that can be pushed to.
 *
 * The lock is an flock on descriptor 9 of the connection's shell. The worker replaces that shell and inherits it, so it is
 * free when the worker is gone, however that ended. `busy <pid>` is the answer if another boss has it.
 *
 * @param replaced process of a worker that the boss has given up: one that is stopped does not notice that.
 * @param source that the commits will come from.
 */
export function prepareScript(
  workDirectory: string,
  replaced?: number,
  source: SourceRepository = { objectFormat: "sha1", isShallow: false },
): string {
  const init =
    source.objectFormat === "sha1" ? "git init -q" : `git init -q --object-format=${source.objectFormat}`;
  return `
replaced=${replaced ?? ""}
work=${quotePath(workDirectory)}
fail() { ${answer('"failed $*"')}; exit 1; }
command -v git >/dev/null 2>&1 || fail 'git is not installed there'
command -v flock >/dev/null 2>&1 || fail 'flock (util-linux) is not installed there'
# A boss that runs from a hook, an alias or a rebase hands on which repository that is about: never this one.
unset ${gitVariables.join(" ")}
[ -d "$work" ] || mkdir -p "$work" 2>/dev/null || fail "$work cannot be made"
cd "$work" && work=$(pwd -P) || fail "$work cannot be used"
[ ! -L .croft-lock ] || rm -f .croft-lock # of a source, which would have another file written
( : >> .croft-lock ) 2>/dev/null || fail "$work/.croft-lock cannot be written"
exec 9>>.croft-lock
if ! flock -n 9; then
  pid=$(head -c 20 .croft-lock | tr -dc 0-9)
  if [ -n "$replaced" ] && [ "$pid" = "$replaced" ]; then kill -KILL "$pid"; flock -w 10 9 || fail "process $pid does not end"
  else ${answer('"busy $pid"')}; exit 0; fi
fi
printf '%s\\n' "$$" > .croft-lock
[ -d .git ] || ${init} . 9>&- || fail "$work cannot be made a git repository"
# Nobody else is here: these are of git processes that were killed with their worker or boss.
for each in .git/*.lock .git/refs/heads/*.lock .git/refs/croft/*.lock .git/worktrees/*/*.lock; do
  [ ! -e "$each" ] || rm -f "$each"
done
${keepOut}
${settleGit}
set -- $(git rev-parse --show-object-format HEAD 2>/dev/null)
format=\${1:-sha1}; [ "$format" != --show-object-format ] || format=sha1 # of a git that knows no other
head=\${2:-HEAD}
[ "$format" = ${source.objectFormat} ] ||
  fail "$work is a repository of $format, and the source one of ${source.objectFormat}: move it away"
${source.isShallow ? "" : forgetShallow}
# No branch is checked out while it is pushed to: so no changed file stands in the way, and none is looked at.
[ "$head" = HEAD ] || git update-ref --no-deref HEAD "$head" 9>&- || fail "$work cannot be cleaned"
[ ! -d .git/worktrees ] || git worktree prune 9>&-
threads=$(nproc 2>/dev/null || echo 1)
${stateOf("$work")}
${answer(`"prepared $$ $threads \${bogomips:-0} \${load:-0} \${memory:-0} \${disk:-0} $work"`)}
`;
}

/** Which tell git of a repository, as `git rev-parse --local-env-vars` lists them. */
const gitVariables = [
  ...["GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"],
  ...["GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE"],
  ...["GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_SHALLOW_FILE"],
  ...["GIT_INTERNAL_SUPER_PREFIX", "GIT_COMMON_DIR", "GIT_NAMESPACE"],
];

/** A source names filters for its files: what they are here has no part in builds, and neither has a hook. */
const keepOut = `nl='
'
kept=$(grep -sxF -e /.croft-lock -e '* -filter' .git/info/exclude .git/info/attributes)
case $nl$kept$nl in *"$nl.git/info/exclude:/.croft-lock$nl"*) ;; *)
  mkdir -p .git/info && echo /.croft-lock >> .git/info/exclude || fail "$work/.git/info/exclude cannot be written" ;;
esac
case $nl$kept$nl in *"$nl.git/info/attributes:* -filter$nl"*) ;; *)
  echo '* -filter' >> .git/info/attributes || fail "$work/.git/info/attributes cannot be written" ;;
esac`;

const gitSettings = [
  ...["core.hookspath /dev/null", "core.fsmonitor false", "core.usereplacerefs true"],
  ...["receive.shallowupdate true", "receive.denycurrentbranch updateInstead", "receive.autogc false"],
  "gc.auto 0",
];

const settingNames = gitSettings.map((each) => each.replace(/ .*/, ""));

/** One question to git in place of as many as there are settings, if they are as they were left. */
const settleGit = `settings='${gitSettings.join("\n")}'
if [ "$(git config --local --get-regexp '^(${settingNames.join("|")})$')" != "$settings" ]; then
  for each in ${settingNames.join(" ")}; do git config --unset-all "$each"; done 2>/dev/null # the order counts, too
${gitSettings.map((each) => `  git config ${each} &&`).join("\n")}
  : || fail "$work/.git/config cannot be written"
fi`;

/** Sets `load`, `bogomips`, and what is free in KiB, `memory` and `disk`: with few programs, as each costs milliseconds. */
const stateOf = (directory: string) => `nl='
'
{ read -r load _ </proc/loadavg; } 2>/dev/null
facts=$(sed -n -e 's/^MemAvailable: *\\([0-9]*\\).*/m=\\1/p' -e 's/^[Bb]ogo[Mm][Ii][Pp][Ss][^:]*: */b=/p' /proc/meminfo /proc/cpuinfo 2>/dev/null)
memory=\${facts#*m=}; memory=\${memory%%"$nl"*}
bogomips=\${facts#*b=}; bogomips=\${bogomips%%"$nl"*}
disk=$(df -Pk "${directory}" 2>/dev/null); disk=\${disk##*"$nl"}
set -- \${disk%%%*}; [ $# -lt 2 ] || shift $(($# - 2)); disk=\${1:-0}`;

/**
 * After pushes from a shallow clone: without refs, all of the history comes with the next push from a whole one; a commit
 * that is there without its parents would else pass for one that has them.
 */
const forgetShallow = `if [ -s .git/shallow ]; then
  git checkout -q --detach -f 9>&- 2>/dev/null
  git for-each-ref --format='delete %(refname)' | git update-ref --stdin && rm -f .git/shallow ||
    fail "$work is a shallow clone that cannot be made a whole one"
fi`;

/** Most often there are none, and git need not be asked. */
const forgetFilled = `if [ -d .git/refs/replace ] || [ -e .git/packed-refs ] || [ -d .git/reftable ]; then
  git for-each-ref --format='delete %(refname)' refs/replace | git update-ref --stdin
fi`;

/**
 * Checks out what has been pushed.
 *
 * @param isFilled with the files of submodules; those of an earlier run are forgotten else.
 */
export const checkoutScript = (isFilled: boolean) => `
${isFilled ? "" : forgetFilled}
set -- $(git ls-tree --name-only work .croft-lock .croft-worker); own=$*
if [ -n "$own" ]; then ${answer('"failed the source has files of names that are taken on hosts: $own"')}
elif said=$(git checkout -qf work 2>&1 9>&-); then ${answer('"done"')}
else
  said=$(printf %s "$said" | head -n 3 | tr -s '[:space:]' ' ')
  ${answer('"failed the pushed commit cannot be checked out: $said"')}
fi
`;

/**
 * Says whether the worker of this version is there, and which Node.js could run it.
 *
 * @param directory of the worker, and of a runtime that was brought earlier.
 */
export function runtimeScript(directory: string, runtime: string): string {
  return `
worker=no; [ -e ${quotePath(directory)}/complete ] && worker=yes
node=none
for each in node ${quotePath(runtime)}; do
  version=$("$each" --version 2>/dev/null) || continue
  major=\${version#v}; major=\${major%%.*}
  [ "$major" -ge 24 ] 2>/dev/null && { node=$each; break; }
done
${answer('"runtime $worker $(uname -s)-$(uname -m) $node"')}
`;
}

/** Replaces the connection's shell by the worker. */
export function execScript(command: string): string {
  return `exec ${command}\n`;
}

/** Unpacks a tar archive from standard input to a directory that appears when it is complete. */
export function unpackCommand(directory: string): string {
  const to = quotePath(directory);
  const script =
    `${plainLanguage}; set -e; to=${to}; mkdir -p "$to.$$"; trap 'rm -rf "$to.$$"' EXIT; tar -xf - -C "$to.$$"; ` +
    `: > "$to.$$/complete"; rm -rf "$to"; mv "$to.$$" "$to"`;
  return `exec sh -c ${quote(script)}`;
}

/** Writes standard input to a program file that appears when it is complete. */
export function installProgramCommand(path: string): string {
  const to = quotePath(path);
  const script =
    `${plainLanguage}; set -e; to=${to}; mkdir -p "$(dirname "$to")"; trap 'rm -f "$to.$$"' EXIT; cat > "$to.$$"; ` +
    `chmod 755 "$to.$$"; mv "$to.$$" "$to"`;
  return `exec sh -c ${quote(script)}`;
}

/** Ends a worker that holds the work directory. */
export function killScript(workDirectory: string): string {
  return `
cd ${quotePath(workDirectory)} 2>/dev/null || { ${answer('"none"')}; exit 0; }
[ -e .croft-lock ] || { ${answer('"none"')}; exit 0; }
free() { flock -n .croft-lock true; }
free && { ${answer('"none"')}; exit 0; }
pid=$(head -c 20 .croft-lock | tr -dc 0-9)
[ -n "$pid" ] || { ${answer('"unknown"')}; exit 0; }
# The number may be another process's by now: what is ended must have the lock's file open.
has_lock() { for fd in "/proc/$pid/fd"/*; do [ "$fd" -ef .croft-lock ] && return 0; done; return 1; }
has_lock || { ${answer('"failed the lock is held, but not by process $pid, or that is of another user"')}; exit 0; }
for signal in TERM KILL; do
  kill -"$signal" "$pid" 2>/dev/null
  i=0; while [ $i -lt 30 ]; do free && { ${answer('"killed $pid"')}; exit 0; }; sleep 0.1; i=$((i + 1)); done
done
${answer('"failed process $pid does not end"')}
`;
}

/** Says what the host is like, in one line. */
export function probeScript(workDirectory: string): string {
  return `
work=${quotePath(workDirectory)}
missing=; for each in git flock make gcc tar; do command -v "$each" >/dev/null 2>&1 || missing="$missing $each"; done
near=$work; while [ ! -d "$near" ] && [ "$near" != / ] && [ "$near" != . ]; do near=$(dirname "$near"); done
${stateOf("$near")}
worker=idle
if [ -e "$work/.croft-lock" ] && ! flock -n "$work/.croft-lock" true 2>/dev/null; then
  worker="busy, process $(head -c 20 "$work/.croft-lock" | tr -dc 0-9)"
fi
${answer(
  '"facts arch=$(uname -m);threads=$(nproc 2>/dev/null || echo 1);bogomips=$bogomips;load=$load;' +
    'memory=$memory;disk=$disk;missing=$missing;node=$(node --version 2>/dev/null);worker=$worker"',
)}
`;
}
