/**
 * When a schedule is due. Times are those of its zone: one that the clocks skip in spring comes with the first one after the gap,
 * one that they have twice in autumn comes once.
 */
import { Cron } from "croner";
import type { Schedule } from "./schema.ts";

/** No more often than that: what is meant by more is a mistake. */
const leastMinutes = 5;

/**
 * The first time after another one.
 *
 * @throws {Error} in words, if there is none, or they come too often.
 */
export function nextTime({ cron, zone = "UTC" }: Pick<Schedule, "cron" | "zone">, after: Date): Date {
  const fields = cron.trim().split(/ +/).length;
  if (fields !== 5) throw new Error(`'${cron}' has ${fields} fields, and not five`);
  let times: Date[];
  try {
    times = new Cron(cron.trim(), { timezone: zone, mode: "5-part" }).nextRuns(2, after);
  } catch (error) {
    throw new Error(`'${cron}' is no time: ${(error as Error).message.replace(/^CronPattern: /, "")}`, {
      cause: error,
    });
  }
  const [first, second] = times;
  if (!first) throw new Error(`'${cron}' never comes`);
  if (second && second.getTime() - first.getTime() < leastMinutes * 60_000)
    throw new Error(`'${cron}' comes more often than every ${leastMinutes} minutes`);
  return first;
}
