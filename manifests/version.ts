import { InvalidValue, type ValueReader } from "./fields.ts";

/**
 * Semantic versions (semver.org 2.0), and what build2's standard versions add to them: an epoch in front
 * (`+2-1.0.0`), and a final `-` for the version before all pre-releases (`1.0.0-`).
 */
const pattern =
  /^(?:\+(\d+)-)?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(?:[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;

interface Version {
  /** Epoch, major, minor, patch. */
  numbers: bigint[];
  /** Undefined for a release; without identifiers before all pre-releases. */
  prerelease: string[] | undefined;
}

function split(version: string): Version | undefined {
  const match = pattern.exec(version);
  if (!match) return undefined;
  const numbers = match.slice(1, 5).map((number: string | undefined) => BigInt(number ?? 1));
  const prerelease = match[5];
  return {
    numbers,
    prerelease:
      prerelease === undefined ? undefined : prerelease === "-" ? [] : prerelease.slice(1).split("."),
  };
}

/**
 * A standard version, which is what other controllers take for a toolchain's: numbers of up to five digits, not all of
 * them 0, of pre-releases only `a.N` and `b.N` (up to 499, 0 with a snapshot only), snapshots `.N`, perhaps with an id,
 * or `.z`, and a revision; numbers of epoch and revision have two bytes.
 */
const standardPattern =
  /^(?:\+(?<epoch>[1-9]\d{0,4})-)?(?!0\.0\.0(?!\d))\d{1,5}\.\d{1,5}\.\d{1,5}(?:-[ab]\.(?:0(?=\.)|[1-9]\d?|[1-4]\d\d)(?:\.(?:z|[1-9]\d{0,18}(?:\.[0-9a-z]{1,16})?))?)?(?:\+(?<revision>[1-9]\d{0,4}))?$/;

/** True for a version that controllers of all kinds understand. */
export function isStandardVersion(version: string): boolean {
  if (!isVersion(version)) return false;
  const { groups } = standardPattern.exec(version) ?? {};
  return groups !== undefined && [groups["epoch"], groups["revision"]].every((n) => Number(n ?? 0) <= 0xffff);
}

/** True for a version that {@link compareVersions} can compare. */
export function isVersion(version: string): boolean {
  return split(version) !== undefined;
}

/**
 * Orders two semantic versions: negative if `a` comes first, 0 if they have the same precedence.
 *
 * @throws {TypeError} if one is no version.
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [split(a), split(b)];
  if (!left || !right) throw new TypeError(`no semantic version: '${left ? b : a}'`);
  for (const [index, number] of left.numbers.entries()) {
    const other = right.numbers[index]!;
    if (number !== other) return number < other ? -1 : 1;
  }
  if (!left.prerelease || !right.prerelease) return Number(!left.prerelease) - Number(!right.prerelease);
  return comparePrereleases(left.prerelease, right.prerelease);
}

function comparePrereleases(left: readonly string[], right: readonly string[]): number {
  for (let index = 0; index < left.length && index < right.length; index++) {
    const order = compareIdentifiers(left[index]!, right[index]!);
    if (order !== 0) return order;
  }
  return Math.sign(left.length - right.length);
}

function compareIdentifiers(left: string, right: string): number {
  if (left === right) return 0;
  const [leftIsNumber, rightIsNumber] = [/^\d+$/.test(left), /^\d+$/.test(right)];
  if (leftIsNumber !== rightIsNumber) return leftIsNumber ? -1 : 1;
  if (!leftIsNumber) return left < right ? -1 : 1;
  const [a, b] = [BigInt(left), BigInt(right)];
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The text of a version, checked. */
export const version: ValueReader<string> = (value) => {
  if (!isVersion(value)) throw new InvalidValue("a semantic version expected");
  return value;
};
