import manifest from "../package.json" with { type: "json" };

/** Of this product, as its packages have it. */
export const { version } = manifest;
