import { fileKind, secretKind } from "./names.ts";
import { scalar, textKind, type Kind } from "./scalar.ts";
import { section } from "./schema-shapes.ts";

const tracesPath = "/v1/traces";

/** Where OTLP is posted to. No user, query or fragment: what stands in a URL ends in logs. */
const otlpUrlKind: Kind<string> = {
  type: "URL",
  allowed: "an http or https URL without user and query, such as http://otel-collector:4318",
  parse(found) {
    if (typeof found !== "string" || !/^https?:\/\/[^?#@\\\s]+$/i.test(found) || !URL.canParse(found)) return undefined;
    const { href } = new URL(found);
    return href.endsWith(tracesPath) ? href : href.replace(/\/*$/, tracesPath);
  },
};

const shareKind: Kind<number> = {
  type: "number",
  allowed: "a number from 0 to 1",
  parse: (found) => (typeof found === "number" && found >= 0 && found <= 1 ? found : undefined),
  fromText: (text) => (/^(?:0|1|0?\.\d{1,9})$/.test(text) ? Number(text) : text),
};

const serviceKind = textKind("name", "1 to 255 printable characters without spaces", /^[\x21-\x7e]{1,255}$/);

export const tracing = section({
  endpoint: scalar(otlpUrlKind).meta({
    description: `The collector's OTLP over HTTP; \`${tracesPath}\` is added where it does not end so.`,
    example: "http://otel-collector:4318",
  }),
  headers: scalar(secretKind).optional().meta({
    description: "What the collector knows this node by: lines of `Name: value`. Either this or `headersFile`.",
    example: "SECRET",
  }),
  headersFile: scalar(fileKind)
    .optional()
    .meta({ description: "File that holds them. Re-read when it changes.", example: "/run/secrets/otlp" }),
  sample: scalar(shareKind).prefault(1).meta({
    description: "The share of requests that are traced, of those whose client did not say whether they are.",
    example: 0.05,
  }),
  serviceName: scalar(serviceKind)
    .prefault("pullring")
    .meta({ description: "`service.name` of the spans.", example: "pullring-eu" }),
});
