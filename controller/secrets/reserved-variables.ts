/** Names and values of the variables that builds are given, and names that nobody sets. */
import Type from "typebox";

/** Of variables, and of secrets, which are variables to a build. */
export const variableNamePattern = "^[A-Za-z_][A-Za-z0-9_]{0,99}$";
/** What one may be: lines of text. */
const variablePattern = "^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]*$";

/** A schema of the variables of a build, by name. */
export const variables = (options: { description?: string } = {}) =>
  Type.Record(
    Type.String({ pattern: variableNamePattern }),
    Type.String({ maxLength: 4096, pattern: variablePattern }),
    { additionalProperties: false, maxProperties: 100, ...options },
  );

/** A build has these from its worker, or could not run with another value. */
const reserved = /^(?:CROFT_.*|LD_.*|BASH_ENV|CI|DESTDIR|ENV|HOME|IFS|PATH|PWD|SHELL)$/;

/** Whether nobody sets a variable of this name for a build. */
export function isReserved(name: string): boolean {
  return reserved.test(name);
}
