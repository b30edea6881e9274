// Where things are: the folders and files that the scripts share. Nothing here has an effect.
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "..");
export const inRoot = (...parts) => path.join(root, ...parts);

export const nativeSource = inRoot("native");
export const nativeBuild = inRoot("build", "native");
export const logFolder = inRoot("build", "logs");
export const reportFolder = inRoot("build", "reports");
export const tool = (name) => inRoot("node_modules", ".bin", name);
