/** What results have besides messages and sizes of images, target by target and commit by commit. */
import { details, type Detail } from "../../../worker/protocol.ts";
import type { Target } from "../../matrix/matrix.ts";
import type { ResultStore } from "../store.ts";
import { readSymbols, symbolChanges, type SymbolSizes } from "./functions.ts";
import { readConfiguration, readEnvironment, valueChanges, type Values } from "./values.ts";

const stages = ["", "-spl", "-tpl", "-vpl"];

/** What buildman compares; of projects without it, `.config`. */
const configurations = stages.map((stage) => `u-boot${stage}.cfg`);

/** Programs, as their files are called in a result. */
const images = [...stages.map((stage) => (stage ? `${stage.slice(1)}-u-boot${stage}` : "u-boot")), "vmlinux"];

/** Changes of one target from one result to the next. */
type DetailChanges = Partial<Record<Detail, string[]>>;

/** Compares the results of a target, each with the last before it that has the same file. */
export class DetailHistory {
  readonly #store: ResultStore;
  readonly #target: Target;
  readonly #asked: readonly Detail[];
  readonly #values = new Map<string, Values>();
  readonly #symbols = new Map<string, SymbolSizes>();

  constructor(store: ResultStore, target: Target, asked: readonly Detail[]) {
    this.#store = store;
    this.#target = target;
    this.#asked = asked;
  }

  /** What is new in the result of the next commit. @throws {Failure} if it cannot be read. */
  next(commit: number): DetailChanges {
    const compared = { config: () => this.#config(commit), environment: () => this.#environment(commit) };
    const all = { ...compared, functions: () => this.#functions(commit) };
    const found = details.flatMap((detail): [Detail, string[]][] => {
      if (!this.#asked.includes(detail)) return [];
      const changes = all[detail]();
      return changes.length > 0 ? [[detail, changes]] : [];
    });
    return Object.fromEntries(found);
  }

  #config(commit: number): string[] {
    const compare = (name: string) => {
      const text = this.#read(commit, name);
      if (text === undefined) return undefined;
      const changes = this.#changesOf(name, readConfiguration(text));
      return changes.length > 0 ? [`${name}: ${changes.join("; ")}`] : [];
    };
    const found = configurations.flatMap((name) => [compare(name) ?? []]);
    const has = configurations.some((name) => this.#values.has(name));
    return has ? found.flat() : (compare(".config") ?? []);
  }

  #environment(commit: number): string[] {
    const text = this.#read(commit, "uboot.env");
    return text === undefined ? [] : this.#changesOf("uboot.env", readEnvironment(text));
  }

  #functions(commit: number): string[] {
    return images.flatMap((image) => {
      const text = this.#read(commit, `${image}.sizes`);
      if (text === undefined) return [];
      const now = readSymbols(text);
      const before = this.#symbols.get(image);
      this.#symbols.set(image, now);
      return before ? symbolChanges(image, before, now) : [];
    });
  }

  #changesOf(name: string, now: Values): string[] {
    const before = this.#values.get(name);
    this.#values.set(name, now);
    return before ? valueChanges(before, now) : [];
  }

  #read(commit: number, name: string): string | undefined {
    return this.#store.readFile(this.#target, commit, name);
  }
}
