import { createHash } from "node:crypto";

import type { RecordKey, RecordKind, Repository } from "@pullring/core";

/**
 * Where a record lies, under `<path>/v1/repositories`:
 *
 * ```
 * <upstream>/<repository…>/
 *   _tags/<tag>.json
 *   _links/<algorithm>/<hex>.json
 *   _lists/<query>.json
 * _new/<random>                   temporary files; what a crash leaves here is removed at the next start
 * ```
 *
 * Components of a repository begin with a letter or a digit, so they can't be taken for the folders with an underscore. Each file
 * holds its key beside its value: names are never read back from paths.
 */
export const recordFolders: Readonly<Record<RecordKind, string>> = { tag: "_tags", link: "_links", list: "_lists" };

export const recordPath = ({ repository, kind, name }: RecordKey): string =>
  `${folderOf(repository)}/${pathBelow(kind, name)}`;

/** Where all records of one kind of a repository lie, with the slash behind it. */
export const recordsOf = (repository: Repository, kind: RecordKind): string =>
  `${folderOf(repository)}/${recordFolders[kind]}/`;

/** A record's path below its repository. */
export function pathBelow(kind: RecordKind, name: string): string {
  const file = kind === "link" ? name.split(":").map(component).join("/") : component(name);
  return `${recordFolders[kind]}/${file}.json`;
}

const folderOf = ({ upstream, name }: Repository): string => [upstream, ...name.split("/")].map(component).join("/");

/** Bytes of a file's name on most file systems are 255 at most; `.json` must fit too. */
const nameBytesMax = 200;

/**
 * One component of a path, whatever the text: no slash, no `.` or `_` in front, never empty or too long. Different texts have
 * different names: `~` begins what is hashed and nothing else.
 */
function component(text: string): string {
  const encoded = encodeURIComponent(text.toWellFormed()).replace(/^[._~]/, escape);
  if (encoded !== "" && encoded.length <= nameBytesMax) return encoded;
  return `~${createHash("sha256").update(text).digest("hex")}`;
}

const escape = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
