/** What was typed into the form that was sent, by the field's name; empty when nothing was. */
export function fieldOf(event: SubmitEvent, name: string): string {
  event.preventDefault();
  const value = new FormData(event.currentTarget as HTMLFormElement).get(name);
  return typeof value === "string" ? value.trim() : "";
}
