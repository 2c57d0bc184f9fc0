// Generates src/gen from ../proto: `npm run gen`. With --check nothing is written: it fails if src/gen is stale.
// It needs buf, which `make setup` puts into ../.venv; BUF may name another one.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const home = dirname(dirname(fileURLToPath(import.meta.url)));
const target = join(home, "src", "gen");

function generate(out) {
  const plugin = {
    local: join(home, "node_modules", ".bin", "protoc-gen-es"),
    out,
    opt: ["target=ts", "import_extension=js"],
  };
  const template = JSON.stringify({ version: "v2", plugins: [plugin] });
  const buf = process.env.BUF ?? join(home, "..", ".venv", "bin", "buf");
  const proto = join(home, "..", "proto");
  execFileSync(buf, ["generate", proto, "--template", template], { stdio: "inherit" });
}

function texts(folder) {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  return new Map(
    names.map((each) => {
      const path = join(each.parentPath ?? each.path, each.name);
      return [relative(folder, path), readFileSync(path, "utf8")];
    }),
  );
}

if (process.argv.includes("--check")) {
  const fresh = mkdtempSync(join(tmpdir(), "steplane-gen-"));
  generate(fresh);
  const [wanted, found] = [texts(fresh), texts(target)];
  rmSync(fresh, { recursive: true });
  const stale = [...new Set([...wanted.keys(), ...found.keys()])].filter(
    (name) => wanted.get(name) !== found.get(name),
  );
  if (stale.length > 0) {
    console.error(`stale, run \`npm run gen\`:\n  ${stale.join("\n  ")}`);
    process.exit(1);
  }
} else {
  rmSync(target, { recursive: true, force: true });
  generate(target);
}
