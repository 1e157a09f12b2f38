/** `1 h 40 m`, for people: the two largest units. */
export function durationText(ms: number): string {
  const minutes = Math.round(Math.max(0, ms) / 60_000);
  if (minutes < 1) return "less than a minute";
  const [days, hours] = [Math.floor(minutes / 1_440), Math.floor((minutes % 1_440) / 60)];
  if (days > 0) return hours > 0 ? `${days} d ${hours} h` : `${days} d`;
  const rest = minutes % 60;
  if (hours === 0) return `${rest} m`;
  return rest > 0 ? `${hours} h ${rest} m` : `${hours} h`;
}
