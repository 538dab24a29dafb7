/** Whether the clock is right: certificates, deadlines and logs depend on it. */
import { isClockSynchronized } from "../../os/clock.ts";
import { ok, warning, type Check } from "./check.ts";

const fix = "apt-get install systemd-timesyncd; timedatectl set-ntp true";

export const clockChecks: readonly Check[] = [
  {
    name: "clock",
    run: async () => {
      const synchronized = isClockSynchronized();
      if (synchronized === undefined)
        return [warning("clock", "the kernel does not tell whether it is kept", fix)];
      return [
        synchronized
          ? ok("clock", "kept by a time service")
          : warning("clock", "no time service keeps it", fix),
      ];
    },
  },
];
