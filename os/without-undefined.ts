/** Fields that are there or absent, of fields that may be undefined. */
export type WithoutUndefined<T> = {
  [Key in keyof T as undefined extends T[Key] ? never : Key]: T[Key];
} & {
  [Key in keyof T as undefined extends T[Key] ? Key : never]?: Exclude<T[Key], undefined>;
};

/** The fields that have a value: an optional field of a type is absent, never undefined. */
export function withoutUndefined<T extends object>(fields: T): WithoutUndefined<T> {
  const defined = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(defined) as WithoutUndefined<T>;
}
