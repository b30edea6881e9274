/** A value of the metadata as an error shows it: at most 60 characters of its JSON. */
export function shown(value: unknown): string {
  const text = typeof value === "bigint" ? `${value}` : (JSON.stringify(value) ?? typeof value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
