/** One challenge of a WWW-Authenticate header (RFC 9110 §11.6.1). */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** Names in lower case; of a name given twice the first counts. */
  readonly params: ReadonlyMap<string, string>;
}

const space = /[\t ]*/y;
const separators = /[\t ,]*/y;
const token = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const quoted = /"((?:[^"\\]|\\.)*)"/sy;
const token68 = /[A-Za-z0-9\-._~+/]+=*(?=[\t ]*(?:,|$))/y;

interface Cursor {
  readonly text: string;
  at: number;
}

/**
 * All challenges of a header whose lines are joined by commas. A realm may itself hold commas and `=` (nvcr.io), so splitting
 * at either would misread it. What is malformed ends the reading; challenges before it count.
 */
export function parseChallenges(text: string): Challenge[] {
  const cursor: Cursor = { text, at: 0 };
  const challenges: Challenge[] = [];
  for (;;) {
    take(cursor, separators);
    const scheme = take(cursor, token);
    if (scheme === undefined) return challenges;
    const params = readParams(cursor);
    if (!params) return challenges;
    challenges.push({ scheme: scheme.toLowerCase(), params });
  }
}

/** undefined = malformed. Ends before the token that begins the next challenge. */
function readParams(cursor: Cursor): Map<string, string> | undefined {
  const params = new Map<string, string>();
  take(cursor, space);
  if (isToken68(cursor)) return params;
  for (;;) {
    take(cursor, separators);
    const start = cursor.at;
    const name = take(cursor, token);
    if (name === undefined) return cursor.at === cursor.text.length ? params : undefined;
    take(cursor, space);
    if (cursor.text[cursor.at] !== "=") {
      cursor.at = start;
      return params;
    }
    cursor.at += 1;
    take(cursor, space);
    const value = readValue(cursor);
    if (value === undefined) return undefined;
    if (!params.has(name.toLowerCase())) params.set(name.toLowerCase(), value);
  }
}

/** A bare word after the scheme is token68 only when it ends in `=`: without it, it is the next scheme. */
function isToken68(cursor: Cursor): boolean {
  const start = cursor.at;
  const found = take(cursor, token68);
  if (found?.endsWith("=")) return true;
  cursor.at = start;
  return false;
}

function readValue(cursor: Cursor): string | undefined {
  const text = take(cursor, quoted);
  return text === undefined ? take(cursor, token) : text.slice(1, -1).replace(/\\(.)/gs, "$1");
}

function take(cursor: Cursor, grammar: RegExp): string | undefined {
  grammar.lastIndex = cursor.at;
  const found = grammar.exec(cursor.text)?.[0];
  if (found !== undefined) cursor.at += found.length;
  return found;
}
