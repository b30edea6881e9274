// Who may import whom in src/ (ARCHITECTURE.md): src/native < the folders of the library < src/cli.
/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    { name: "no-cycle", severity: "error", from: {}, to: { circular: true } },
    {
      name: "native-is-lowest",
      comment:
        "src/native is the TypeScript side of the one door: it knows nothing above it but the one class of errors.",
      severity: "error",
      from: { path: "^src/native/" },
      to: { path: "^src/(?!native/|errors\\.ts$)" },
    },
    {
      name: "cli-is-highest",
      severity: "error",
      from: { path: "^src/(?!cli/|index\\.ts$)" },
      to: { path: "^src/cli/" },
    },
    {
      name: "index-not-to-cli",
      comment: "Importing the library must not load the command line.",
      severity: "error",
      from: { path: "^src/index\\.ts$" },
      to: { path: "^src/cli/" },
    },
    {
      name: "index-is-for-users",
      comment: "Inside src/ a module is imported from its own file.",
      severity: "error",
      from: { path: "^src/(?!cli/)" },
      to: { path: "^src/index\\.ts$" },
    },
    {
      name: "only-native-loads-native-code",
      severity: "error",
      from: { path: "^src/(?!native/)" },
      to: { path: "\\.node$" },
    },
    {
      name: "src-stays-in-src",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(test|bench|examples|scripts)/" },
    },
    {
      name: "no-dev-dependency",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"], pathNot: "^node_modules/@types/" },
    },
    {
      name: "no-unknown-package",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
    { name: "must-resolve", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
  },
};
