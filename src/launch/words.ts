// Command lines as words: split as a shell would, with quotes and variables and nothing else, and quoted again so that what
// is shown can be pasted into a shell. Pure.

export type Variables = Readonly<Record<string, string | undefined>>;
export type Words = { readonly words: string[] } | { readonly problem: string };

/** A word of its own that a shell would not pass on, or one that ends in `;`. */
const SHELL_OPERATOR = /^(?:&&?|\|\|?|\d?>>?|<)$|;$/;

/**
 * The words of a text. '…' is taken as it is; in "…" and outside, `$NAME` and `${NAME}` become the variable's value, and a
 * backslash takes the next character as it is. What only a shell can do (pipes, globs, `$(…)`) wants `sh -c '…'`.
 */
export function splitWords(text: string, variables: Variables): Words {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  let isQuoted = false;
  let operator: string | undefined;
  const endWord = (): void => {
    if (word !== undefined) words.push(word);
    if (word !== undefined && !isQuoted && SHELL_OPERATOR.test(word)) operator ??= word;
    word = undefined;
    isQuoted = false;
  };
  for (let at = 0; at < text.length; at++) {
    const letter = text.charAt(at);
    if (quote === "'") {
      if (letter === "'") quote = "";
      else word = (word ?? "") + letter;
    } else if (letter === "\\") {
      isQuoted = true;
      word = (word ?? "") + text.charAt(++at);
    } else if (letter === "$") {
      const [whole = "", braced, plain] = /^\$(?:\{(\w+)\}|([A-Za-z_]\w*))/.exec(text.slice(at)) ?? [];
      const name = braced ?? plain;
      if (name === undefined) return { problem: `has a $ that names no variable; write '$' in single quotes, or \\$` };
      const value = variables[name];
      if (value === undefined) return { problem: `uses $${name}, which is not set` };
      word = (word ?? "") + value;
      at += whole.length - 1;
    } else if (letter === '"' || (letter === "'" && quote === "")) {
      quote = quote === letter ? "" : letter;
      isQuoted = true;
      word ??= "";
    } else if (quote === "" && /\s/.test(letter)) {
      endWord();
    } else {
      word = (word ?? "") + letter;
    }
  }
  if (quote !== "") return { problem: `has a ${quote} that is not closed` };
  endWord();
  if (operator !== undefined) {
    return { problem: `has ${operator}, which only a shell knows; write sh -c '…', or quote it to pass it on` };
  }
  return words.length === 0 ? { problem: "is empty" } : { words };
}

export function quoteWord(word: string): string {
  return /^[\w@%+=:,./{}-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A command line that a shell reads as these words. */
export function quoteWords(words: readonly string[]): string {
  return words.map(quoteWord).join(" ");
}
