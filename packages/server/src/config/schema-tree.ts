import * as z from "zod";

import type { Path } from "./path.ts";

/** One key of the schema without its wrappers. */
export interface Key {
  readonly shape: Shape;
  /** As written in the schema, before it is parsed; undefined = none. */
  readonly default: unknown;
  readonly isOptional: boolean;
  /** Of the wrappers and the value, the outermost first. */
  readonly meta: Readonly<Record<string, unknown>>;
}

export type Shape =
  | { readonly is: "section"; readonly keys: Readonly<Record<string, z.core.$ZodType>> }
  | { readonly is: "map" | "list"; readonly item: z.core.$ZodType }
  | { readonly is: "scalar" };

/** What stands behind a schema's wrappers. Knows exactly those that `schema.ts` uses. */
export function keyOf(schema: z.core.$ZodType): Key {
  let inner = schema;
  let fallback: unknown;
  let isOptional = false;
  let meta: Readonly<Record<string, unknown>> = {};
  for (;;) {
    meta = { ...z.globalRegistry.get(inner), ...meta };
    if (inner instanceof z.ZodPrefault) {
      fallback = inner.def.defaultValue;
      inner = inner.def.innerType;
    } else if (inner instanceof z.ZodOptional) {
      isOptional = true;
      inner = inner.def.innerType;
    } else if (inner instanceof z.ZodPipe && inner.def.in instanceof z.ZodTransform) inner = inner.def.out;
    else return { shape: shapeOf(inner), default: fallback, isOptional, meta };
  }
}

function shapeOf(schema: z.core.$ZodType): Shape {
  if (schema instanceof z.ZodObject) return { is: "section", keys: schema.def.shape };
  if (schema instanceof z.ZodRecord) return { is: "map", item: schema.def.valueType };
  if (schema instanceof z.ZodArray) return { is: "list", item: schema.def.element };
  return { is: "scalar" };
}

/** What the schema has at a path of values; undefined = nothing. */
export function keyAt(schema: z.core.$ZodType, path: Path): Key | undefined {
  let key = keyOf(schema);
  for (const step of path) {
    const inner = childOf(key.shape, String(step));
    if (!inner) return undefined;
    key = keyOf(inner);
  }
  return key;
}

function childOf(shape: Shape, step: string): z.core.$ZodType | undefined {
  if (shape.is === "section") return Object.hasOwn(shape.keys, step) ? shape.keys[step] : undefined;
  return shape.is === "scalar" ? undefined : shape.item;
}
