/** A function of a topic that is written in JavaScript: the ES module that it comes from. Plain data and its check. */

export interface ModuleConfig {
  /**
   * A file: an absolute path, or one that begins with "./" or "../", from the working directory (in a configuration file from
   * that file). Or a package, as Node resolves it from the working directory. Kept as it was given, a path as absolute.
   */
  module: string;
  /** Which export; default "default". */
  export?: string;
  /** What the export is called with, once in each process; any JSON value. */
  options?: unknown;
  /** Of the file, 64 hexadecimal digits; filled in when the topic is created. */
  sha256?: string;
}

export function isModuleConfig(value: unknown): value is ModuleConfig {
  return typeof value === "object" && value !== null && typeof (value as ModuleConfig).module === "string";
}

const texts: Readonly<Record<string, RegExp>> = {
  module: /^[^\0]{1,4096}$/,
  export: /^.{1,200}$/,
  sha256: /^[0-9a-f]{64}$/,
};

/** What is wrong with the members of one. */
export function problemOfModule(value: ModuleConfig): { path: string[]; message: string } | undefined {
  for (const [name, member] of Object.entries(value)) {
    const wanted = texts[name];
    if (name === "options") continue;
    if (wanted === undefined)
      return { path: [name], message: `is not known beside module; export, options and sha256 are` };
    if (typeof member !== "string" || !wanted.test(member)) {
      const what = name === "sha256" ? "64 hexadecimal digits" : "a text that is not empty";
      return { path: [name], message: `is not ${what}` };
    }
  }
  return undefined;
}
