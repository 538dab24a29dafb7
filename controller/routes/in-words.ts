import type { FastifySchemaValidationError } from "fastify/types/schema.js";

/** What a request does wrong, with the name of the value. */
export function inWords(
  { keyword, instancePath, params, message }: FastifySchemaValidationError,
  part: string,
): string {
  const at = instancePath.slice(1).replaceAll("/", ".") || part;
  const { additionalProperty, missingProperty, allowedValues } = params as Record<string, string | string[]>;
  if (keyword === "additionalProperties") return `${at}: unknown key '${String(additionalProperty)}'`;
  if (keyword === "required") return `${at}: '${String(missingProperty)}' is missing`;
  if (keyword === "enum") return `${at}: expected one of ${[allowedValues ?? []].flat().join(", ")}`;
  if (keyword === "pattern") return `${at}: there are characters in it that may not be there, such as blanks`;
  return `${at}: ${message ?? "not as expected"}`;
}
