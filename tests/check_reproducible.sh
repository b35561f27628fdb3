#!/usr/bin/env bash
# Run the committed pipeline in two fresh clones on this machine; every output must have the same bytes.
set -euo pipefail
source=$(git rev-parse --show-toplevel)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for name in first second; do
    git clone --quiet "$source" "$scratch/$name"
    (cd "$scratch/$name" && rm -f dvc.lock && dvc repro)
done
if cmp "$scratch/first/dvc.lock" "$scratch/second/dvc.lock"; then
    echo "reproducible: both clones ended with the same dvc.lock ($(sha256sum < "$scratch/first/dvc.lock" | cut -c1-16))"
else
    diff "$scratch/first/dvc.lock" "$scratch/second/dvc.lock" || true
    echo "not reproducible: the outputs above differ" >&2
    exit 1
fi
