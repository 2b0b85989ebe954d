#!/usr/bin/env python3
"""A frontend that prints: one line for each frame that was analysed, until killed or after so many."""
from __future__ import annotations

import sys

import prong

def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else -1
    with prong.connect() as hub:
        for event in hub.subscribe("people.found"):
            found = event.payload
            print(f"frame {found['frame']:4}  {len(found['boxes'])} people  {found['delay'] * 1000:6.0f} ms after it was"
                  f" taken  {found['by']}", flush=True)
            count -= 1
            if count == 0:
                break


if __name__ == "__main__":
    main()
