// ESLint: type-checked rules for TypeScript, the plain ones for the scripts.
import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

const nodeGlobals = Object.fromEntries(
  ["process", "console", "URL", "Buffer", "setTimeout", "clearTimeout", "setInterval", "clearInterval"].map((name) => [
    name,
    "readonly",
  ]),
);

export default defineConfig(
  globalIgnores(["build/", "dist/", "demo-output/", "src/native/error-codes.ts"]),
  js.configs.recommended,
  {
    files: ["**/*.{mjs,cjs}"],
    languageOptions: { globals: { ...nodeGlobals, module: "readonly" } },
    rules: { "no-control-regex": "off", "prefer-const": "error", eqeqeq: "error" },
  },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      // an async method is how an interface that returns promises is implemented without one
      "@typescript-eslint/require-await": "off",
    },
  },
  {
    // Only src/native may load native code; the library prints nothing by itself.
    files: ["src/**/*.ts"],
    ignores: ["src/native/**"],
    rules: {
      "no-restricted-imports": [
        "error",
        {
          paths: [
            { name: "node:module", importNames: ["createRequire"], message: "Only src/native loads native code." },
          ],
        },
      ],
      "no-restricted-properties": [
        "error",
        { object: "process", property: "dlopen", message: "Only src/native loads native code." },
      ],
    },
  },
  { files: ["src/**/*.ts"], ignores: ["src/cli/**"], rules: { "no-console": "error" } },
  {
    // These test plain JavaScript, which has few types to check.
    files: ["test/scripts/**/*.ts"],
    rules: {
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-return": "off",
    },
  },
  {
    files: ["src/index.ts"],
    rules: {
      "no-restricted-syntax": [
        "error",
        {
          selector: "Program > :not(ExportNamedDeclaration, ExportAllDeclaration)",
          message: "src/index.ts only re-exports.",
        },
        { selector: "ExportNamedDeclaration[source=null]", message: "src/index.ts only re-exports." },
      ],
    },
  },
);
