// Deletes what was built, so that nothing of an older state gets into the package.
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

rmSync(join(dirname(dirname(fileURLToPath(import.meta.url))), "dist"), { recursive: true, force: true });
