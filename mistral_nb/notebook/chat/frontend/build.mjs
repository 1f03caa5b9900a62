// Bundles the panel into one ES module and one style sheet, with the licences of what is in it: node build.mjs [folder]
import { build } from "esbuild";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const target = process.argv[2] ?? join(here, "..", "static");

await build({
  absWorkingDir: here,
  entryPoints: { panel: "src/index.js" },
  outdir: target,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "eof",
});

const { dependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const licences = Object.entries(dependencies).map(([name, version]) => {
  const folder = join(here, "node_modules", name);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
});
writeFileSync(join(target, "panel.licenses.txt"), licences.join(`\n${"-".repeat(79)}\n\n`));
