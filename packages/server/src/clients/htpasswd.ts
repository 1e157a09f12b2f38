/** bcrypt hashes by user name. */
export type Users = ReadonlyMap<string, string>;

/** `$2y$` is what htpasswd(1) writes, `$2a$` and `$2b$` what others do; cost 4 to 31, then 22 characters of salt and 31 of hash. */
const bcryptGrammar = /^\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/;

/**
 * Reads an htpasswd file. Throws when a line is anything but a user with a bcrypt hash: a user silently left out would be locked
 * out, and older schemes are broken. Errors name the line and the user, never what may be a hash.
 */
export function parseHtpasswd(text: string): Users {
  const users = new Map<string, string>();
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const colon = line.indexOf(":");
    if (colon <= 0) throw new Error(`line ${index + 1} is not user:hash`);
    const [user, hash] = [line.slice(0, colon), line.slice(colon + 1)];
    if (users.has(user)) throw new Error(`line ${index + 1}: the user "${user}" is there twice`);
    if (!bcryptGrammar.test(hash))
      throw new Error(`line ${index + 1}: the password of "${user}" is not a bcrypt hash (htpasswd -B makes one)`);
    users.set(user, hash);
  }
  return users;
}
