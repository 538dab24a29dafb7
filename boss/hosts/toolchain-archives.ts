/** Compilers from kernel.org's archives, unpacked on hosts. */
import { quote } from "../../os/text/shell-word.ts";
import { HostConnection } from "./connection.ts";
import type { Host } from "./hosts.ts";
import { fetchedToolchains, knownToolchain } from "./known-toolchains.ts";
import { answer } from "./scripts.ts";
import { quotePath, type SshSettings } from "./ssh.ts";

/** Where they are, unless the user has a mirror. */
export const archivesUrl = "https://mirrors.edge.kernel.org/pub/tools/crosstool/files/bin";

const version = "14.2.0";
const fetchSeconds = 1800;

/** An archive's name, for hosts of an architecture, such as `x86_64`. */
export function archiveName(architecture: string, ofHost = "x86_64"): string | undefined {
  const { archive } = knownToolchain(architecture);
  return archive && `${ofHost}-gcc-${version}-nolibc-${archive}.tar.xz`;
}

/** Fetches a compiler to a host. @returns why it could not; undefined if it is there. */
export async function fetchToolchain(
  host: Host,
  ssh: SshSettings,
  architecture: string,
  url: string,
): Promise<string | undefined> {
  const { archive } = knownToolchain(architecture);
  if (archive === undefined) return "kernel.org has no compiler for it";
  await using connection = new HostConnection(host, ssh);
  const seconds = ssh.connectTimeoutSeconds + fetchSeconds;
  const [said = ""] = await connection.evaluate(fetchScript(archive, url), seconds);
  return said === "done" ? undefined : said.replace(/^failed /, "");
}

/** The directory appears when it is complete; what is unpacked is what the list of digests beside it names. */
function fetchScript(archive: string, url: string): string {
  return `
fail() { rm -rf "$to.$$"; ${answer('"failed $*"')}; exit 0; }
to=${quotePath(`${fetchedToolchains}/${archive}`)} from=${quote(url)}
case $(uname -m) in
  x86_64) machine=x86_64 ;; aarch64) machine=arm64 ;; *) fail "kernel.org has none that run on $(uname -m)" ;;
esac
name=$machine-gcc-${version}-nolibc-${archive}.tar.xz
get() { curl -fsSL --retry 2 -o "$2" "$1" 2>&1 || wget -q -O "$2" "$1" 2>&1; }
mkdir -p "$to.$$" || fail "$to cannot be made"
said=$(get "$from/$machine/${version}/$name" "$to.$$/archive") || fail "$from/$machine/${version}/$name: $said"
said=$(get "$from/$machine/${version}/sha256sums.asc" "$to.$$/sums") || fail "$from/$machine/${version}/sha256sums.asc: $said"
sum=$(sed -n "s/^\\([0-9a-f]\\{64\\}\\)  *$name\\$/\\1/p" "$to.$$/sums")
printf '%s  %s\\n' "$sum" "$to.$$/archive" | sha256sum -c >/dev/null 2>&1 || fail "$name is not what its SHA-256 says"
mkdir "$to.$$/tree" && tar -C "$to.$$/tree" --strip-components=2 -xJf "$to.$$/archive" 2>/dev/null || fail "$name cannot be unpacked"
[ -x "$to.$$/tree/bin/${archive}-gcc" ] || fail "$name has no bin/${archive}-gcc"
rm -rf "$to" && mv "$to.$$/tree" "$to" && rm -rf "$to.$$" || fail "$to cannot be written"
${answer('"done"')}
`;
}
