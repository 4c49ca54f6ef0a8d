#!/usr/bin/env bash
# Makes dist/*.tgz: the package and the platform's package with the native half (./build.sh release comes first).
set -euo pipefail
cd "$(dirname "$0")"

target=linux-$(node -p process.arch)-gnu
native=instar.$target.node
[ -f "$native" ] || { echo "there is no $native; run build.sh release" >&2; exit 1; }

rm -rf dist
mkdir -p "dist/stage/$target" dist/stage/main
cp "$native" "dist/stage/$target/"
cp -r lib index.d.ts index.d.mts README.md dist/stage/main/

# One version number and one description of both, from package.json.
node - "$target" "$native" <<'JS'
const { readFileSync, writeFileSync } = require("node:fs");
const [target, native] = process.argv.slice(2);
const { devDependencies, scripts, ...main } = JSON.parse(readFileSync("package.json", "utf8"));
const { version, license, repository, engines } = main;
const name = `@instar/instar-${target}`;
const platform = {
  name,
  version,
  description: `Native half of ${main.name} for ${target}`,
  license,
  repository,
  engines,
  main: native,
  files: [native],
  os: [process.platform],
  cpu: [process.arch],
  libc: ["glibc"],
};
const write = (folder, content) => writeFileSync(`dist/stage/${folder}/package.json`, `${JSON.stringify(content, null, 2)}\n`);
write(target, platform);
write("main", { ...main, optionalDependencies: { [name]: version } });
JS

for folder in main "$target"; do
  npm pack --silent --pack-destination dist "./dist/stage/$folder"
done
rm -r dist/stage
