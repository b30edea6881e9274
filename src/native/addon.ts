/**
 * Loads the addon, once per JavaScript environment, at the first call that needs it: nothing happens at import.
 * The file is `build/native/addon/weftline.node` of the package; WEFTLINE_ADDON names another one.
 */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

import { WeftError } from "../errors.js";
import type { ErrorCode } from "../errors.js";
import type { NativeBinding } from "./binding.js";

/** The ABI that this TypeScript was written for (WEFT_ABI_VERSION). */
const abiVersionWanted = 1;

let loaded: NativeBinding | undefined;

/** The addon. WEFT_UNSUPPORTED if it was not built or cannot be loaded. */
export function native(): NativeBinding {
  return (loaded ??= load());
}

function load(): NativeBinding {
  const path =
    process.env["WEFTLINE_ADDON"] ?? fileURLToPath(new URL("../../build/native/addon/weftline.node", import.meta.url));
  let binding: NativeBinding;
  try {
    binding = createRequire(import.meta.url)(path) as NativeBinding;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new WeftError("WEFT_UNSUPPORTED", `the native addon could not be loaded from ${path}: ${why}`, {
      cause,
      next: "build it with `npm run build`, or give its path in WEFTLINE_ADDON",
    });
  }
  if (binding.abiVersion !== abiVersionWanted) {
    throw new WeftError(
      "WEFT_UNSUPPORTED",
      `${path} has ABI version ${String(binding.abiVersion)}, this package wants ${String(abiVersionWanted)}`,
      { next: "build the addon again with `npm run build`" },
    );
  }
  binding.setErrorFactory((code, number, message, canRetry, next) => {
    void number;
    return new WeftError(code as ErrorCode, message, { canRetry, next });
  });
  // Another thread may be opening a lane, and process.exit() runs the destructors of the libraries that it is inside of.
  if (isMainThread) process.once("exit", () => binding.prepareExit());
  return binding;
}
