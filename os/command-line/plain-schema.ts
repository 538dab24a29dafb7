/**
 * Checks values against the part of JSON Schema that the configurations of short-lived commands need. A library that knows
 * all of it (checked-configuration.ts) takes longer to load than such a command takes to run; that one is asked what is wrong
 * where something is.
 */

/** Only these keywords. */
export type PlainSchema =
  | { readonly type: "string"; readonly minLength?: number }
  | { readonly type: "integer"; readonly minimum: number; readonly maximum: number }
  | { readonly type: "null" }
  | { readonly type: "array"; readonly items: PlainSchema }
  | {
      readonly type: "object";
      readonly properties?: Readonly<Record<string, PlainSchema>>;
      readonly required?: readonly string[];
      /** Of keys that have none of their own; false: there are none. */
      readonly additionalProperties: PlainSchema | boolean;
    }
  | { readonly anyOf: readonly PlainSchema[] };

/** Whether a value is as a schema says. */
export function fitsSchema(value: unknown, schema: PlainSchema | boolean): boolean {
  if (typeof schema === "boolean") return schema;
  if ("anyOf" in schema) return schema.anyOf.some((each) => fitsSchema(value, each));
  switch (schema.type) {
    case "null":
      return value === null;
    case "string":
      return typeof value === "string" && value.length >= (schema.minLength ?? 0);
    case "integer":
      return Number.isInteger(value) && Number(value) >= schema.minimum && Number(value) <= schema.maximum;
    case "array":
      return Array.isArray(value) && value.every((each) => fitsSchema(each, schema.items));
    case "object": {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
      const { properties = {}, required = [], additionalProperties } = schema;
      return (
        required.every((key) => Object.hasOwn(value, key)) &&
        Object.entries(value).every(([key, each]) =>
          fitsSchema(each, Object.hasOwn(properties, key) ? properties[key]! : additionalProperties),
        )
      );
    }
  }
}
