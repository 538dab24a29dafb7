import Type from "typebox";

/** A schema of one of several words: an enumeration, because its error names them. */
export const oneOf = <const T extends string>(...words: T[]) =>
  Type.Unsafe<T>({ type: "string", enum: words });
