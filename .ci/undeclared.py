#!/usr/bin/env python3
"""Names Rust files that no `mod` line declares: the compiler never sees them, and their tests never run."""

import re
import sys
from pathlib import Path

MOD = re.compile(r'(?:#\[path\s*=\s*"([^"]+)"\]\s*)?^\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(?:r#)?(\w+)\s*;', re.M)


def declared(file, is_root):
    """The file and all that its `mod` lines lead to."""
    folder = file.parent if is_root or file.name == "mod.rs" else file.parent / file.stem
    found = {file}
    for path, name in MOD.findall(file.read_text(encoding="utf-8")):
        candidates = [file.parent / path] if path else [folder / f"{name}.rs", folder / name / "mod.rs"]
        for candidate in candidates:
            if candidate.exists():
                found |= declared(candidate.resolve(), False)
    return found


def main():
    top = Path(__file__).resolve().parent.parent
    undeclared = []
    for manifest in sorted(top.glob("**/Cargo.toml")):
        crate = manifest.parent
        roots = [crate / "src/lib.rs", crate / "src/main.rs", crate / "build.rs"]
        for folder in ("src/bin", "tests", "benches", "examples"):
            roots += [*(crate / folder).glob("*.rs"), *(crate / folder).glob("*/main.rs")]
        reached = set()
        for root in roots:
            if root.exists():
                reached |= declared(root.resolve(), True)
        for folder in ("src", "tests", "benches"):
            undeclared += [file for file in (crate / folder).rglob("*.rs") if file.resolve() not in reached]
    for file in undeclared:
        print(f"{file.relative_to(top)}: no `mod` line declares this file", file=sys.stderr)
    sys.exit(1 if undeclared else 0)


if __name__ == "__main__":
    main()
