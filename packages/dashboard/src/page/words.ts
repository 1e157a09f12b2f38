/** Figures as people read them. */
export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [at, amount] = [0, bytes];
  while (amount >= 1000 && at < units.length - 1) {
    amount /= 1024;
    at += 1;
  }
  return `${at === 0 || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${units[at]}`;
}

export const percent = (part: number): string => `${(part * 100).toFixed(part > 0 && part < 0.1 ? 1 : 0)} %`;

/** "in 1 h 40 m", "4 m ago". */
export function fromNow(time: number, now: number): string {
  const minutes = Math.round(Math.abs(time - now) / 60_000);
  const hours = Math.floor(minutes / 60);
  const text = minutes < 1 ? "less than a minute" : hours > 0 ? `${hours} h ${minutes % 60} m` : `${minutes} m`;
  return time >= now ? `in ${text}` : `${text} ago`;
}

/** Wall ms of what the API tells as ms or as a text. */
export const timeOf = (time: string | number): number => (typeof time === "number" ? time : Date.parse(time));

/** `sha256:1a2b3c4d5e6f…` */
export const shortDigest = (digest: string): string => `${digest.slice(0, digest.indexOf(":") + 13)}…`;
