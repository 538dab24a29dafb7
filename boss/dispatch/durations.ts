import { readFileSync, writeFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "../hosts/hosts.ts";
import type { Matrix, Target } from "../matrix/matrix.ts";
import type { PartialObserver } from "./observers.ts";

const fileName = ".croft-durations.json";

/**
 * How long targets took in earlier runs, in seconds for all commits together, so that the longest can be begun first.
 * Only an order is made of it: a missing or unreadable file is no failure.
 */
export class Durations {
  readonly #path: string;
  readonly #seconds: Map<string, number>;
  readonly #begun = new Map<number, number>();

  constructor(directory: string) {
    this.#path = join(directory, fileName);
    this.#seconds = new Map(Object.entries(read(this.#path)));
  }

  of(target: Target): number | undefined {
    return this.#seconds.get(target.name);
  }

  observer(matrix: Matrix): PartialObserver {
    return {
      given: (_host: Host, target: number) => void this.#begun.set(target, performance.now()),
      complete: (_host: Host, target: number) => {
        const seconds = (performance.now() - (this.#begun.get(target) ?? performance.now())) / 1000;
        this.#seconds.set(matrix.targetAt(target).name, Math.round(seconds * 1000) / 1000);
      },
    };
  }

  save(): void {
    try {
      writeFileSync(`${this.#path}.new`, JSON.stringify(Object.fromEntries(this.#seconds)));
      renameSync(`${this.#path}.new`, this.#path);
    } catch {
      // The next run has an older order.
    }
  }
}

function read(path: string): Record<string, number> {
  try {
    const entries = Object.entries(JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>);
    return Object.fromEntries(
      entries.filter((entry): entry is [string, number] => typeof entry[1] === "number"),
    );
  } catch {
    return {};
  }
}
