import * as fc from "fast-check";
import { schemaOfModel } from "./schema-of-model.ts";

/** Arbitrary values of the model's types, made from the schema that is made from the types. */

interface SchemaNode {
  readonly $ref?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly oneOf?: readonly SchemaNode[];
  readonly anyOf?: readonly SchemaNode[];
  readonly type?: string;
  readonly items?: SchemaNode;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
}

const schema = schemaOfModel() as { readonly $defs: Readonly<Record<string, SchemaNode>> };

/** The schema of a type of the model by its name. */
export function definition(name: string): SchemaNode {
  const node = schema.$defs[name];
  if (node === undefined) throw new Error(`no definition ${name}`);
  return node;
}

/** The fields of each alternative of a union, by its code (or the name of what tells them apart). */
export function alternativesOf(
  name: string,
  tag = "code",
): Map<string, Readonly<Record<string, SchemaNode>>> {
  const node = definition(name);
  const all = node.oneOf ?? [node];
  const found = new Map<string, Readonly<Record<string, SchemaNode>>>();
  for (const { properties = {} } of all) {
    const { [tag]: code, ...fields } = properties;
    for (const value of code?.enum ?? [code?.const]) found.set(String(value), fields);
  }
  return found;
}

/** The literals of an enumeration, whether it stands in a definition or in a field. */
export function literalsOf(node: SchemaNode): string[] {
  const target = node.$ref === undefined ? node : definition(node.$ref.replace("#/$defs/", ""));
  return (target.enum ?? []).map(String);
}

/** Texts from outside at their worst, among ordinary ones. */
const outsideText = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom(
    "/var/lib/plexmediaserver",
    "ECONNREFUSED",
    "Müller & Söhne",
    "{curly}",
    "'quoted'",
    "<b>#",
  ),
);

/** A value of a type of the model. */
export function anyOf(name: string): fc.Arbitrary<unknown> {
  return arbitrary(definition(name));
}

function arbitrary(node: SchemaNode): fc.Arbitrary<unknown> {
  if (node.$ref !== undefined) return arbitrary(definition(node.$ref.replace("#/$defs/", "")));
  if ("const" in node) return fc.constant(node.const);
  if (node.enum !== undefined) return fc.constantFrom(...node.enum);
  const choices = node.oneOf ?? node.anyOf;
  if (choices !== undefined) return fc.oneof(...choices.map(arbitrary));
  switch (node.type) {
    case "object": {
      const { properties = {}, required = [] } = node;
      const fields = Object.fromEntries(
        Object.entries(properties).map(([key, each]) => [key, arbitrary(each)]),
      );
      return fc.record(fields, { requiredKeys: [...required] });
    }
    case "array":
      return fc.array(arbitrary(node.items ?? {}), { maxLength: 3 });
    case "integer":
      return fc.nat({ max: 100_000 });
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    default:
      return outsideText;
  }
}
