/** The target of `rel="next"` in a Link header (RFC 8288), or undefined. Relative targets come back as written. */
export function nextLink(header: string | undefined): string | undefined {
  for (const match of (header ?? "").matchAll(/<([^>]*)>([^,<]*)/g)) {
    if (/;\s*rel\s*=\s*"?next"?/i.test(match[2] ?? "")) return match[1];
  }
  return undefined;
}
