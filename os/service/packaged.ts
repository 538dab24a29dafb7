/** Where Debian's package of croft puts it (packaging/debian/); npm installs it anywhere. */
import { packageRoot } from "../files/package.ts";

/** The directory of croft itself. */
export const packagedRoot = "/usr/lib/croft";

/** Starts croft under the right Node.js, in its own place: a service is its process (packaging/debian/croft/command). */
export const packagedProgram = "/usr/bin/croft";

/** Units of packages (systemd.unit(5)). */
export const packagedUnits = "/usr/lib/systemd/system";

/** What an agent that was installed by the package asks until it is told of another one. */
export const localController = "http://127.0.0.1:8420/agent/task";

/** Whether this croft is the package's. */
export function isPackaged(): boolean {
  return packageRoot === packagedRoot;
}
