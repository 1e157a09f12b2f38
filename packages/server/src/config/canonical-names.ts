/** Every name and alias of the table, to the upstream's canonical name. */
export function canonicalNames(
  upstreams: Readonly<Record<string, { readonly aliases: readonly string[] }>>,
): ReadonlyMap<string, string> {
  const entries = Object.entries(upstreams);
  return new Map(entries.flatMap(([host, { aliases }]) => [host, ...aliases].map((name) => [name, host] as const)));
}
