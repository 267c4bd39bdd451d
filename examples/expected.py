#!/usr/bin/env python3
"""Computes what every example must give, in plain Python and without Millrace.

    python3 expected.py           writes input.jsonl and expected*.jsonl of every example
    python3 expected.py --check   exit code 1 if a file differs from what would be written

Each function says in a few lines what a manifest means, record by record and with nothing clever, so that it can be
read beside the manifest. Numbers are written as Millrace writes them: whole numbers as such, doubles with the fewest
digits that read back the same.
"""

import csv
import datetime
import gzip
import json
import math
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOUR = 3_600_000


def flights(count):
    """The first departures of January 2013, in the order in which they really left."""
    with gzip.open(HERE / "data" / "flights-january.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n") for _, line in zip(range(count), lines)]


def table(name):
    """The rows of a CSV file of `data`, with None for an empty cell."""
    with open(HERE / "data" / name, newline="", encoding="utf-8") as file:
        return [{column: cell or None for column, cell in row.items()} for row in csv.DictReader(file)]


def records(lines):
    return [json.loads(line) for line in lines]


def encode(rows):
    return [json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows]


def filter_map():
    lines = flights(1700)
    results = []
    for f in records(lines):
        if f["dep_delay"] is None or not f["dep_delay"] > 60:
            continue
        arrived = f["arr_delay"] is not None
        results.append({
            "scheduled": f["ts"],
            "carrier": f["carrier"],
            "flight": f["flight"],
            "dep_delay": f["dep_delay"],
            "arr_delay": f["arr_delay"],
            "route": f["origin"] + "-" + f["dest"],
            "gain": f["dep_delay"] - f["arr_delay"] if arrived else None,
            "mph": float(math.floor(f["distance"] * 60.0 / f["air_time"] + 0.5)) if arrived else None,
            "severity": "severe" if f["dep_delay"] > 180 else "late",
        })
    return {"input.jsonl": lines, "expected.jsonl": encode(results)}


def tumbling_window():
    lines = flights(1700)
    size, out_of_order = HOUR, 4 * HOUR
    newest, windows, results, late = None, {}, [], []
    closed = set()

    def close(watermark):
        ready = [key for key in windows if key[0] + size - 1 <= watermark]
        for key in sorted(ready, key=lambda key: key[0]):
            closed.add(key)
            delays = windows.pop(key)
            known = [delay for delay in delays if delay is not None]
            results.append({
                "carrier": key[1],
                "window_start": key[0],
                "window_end": key[0] + size,
                "is_final": True,
                "flights": len(delays),
                "avg_delay": sum(known) / len(known) if known else None,
            })

    for line, f in zip(lines, records(lines)):
        newest = f["ts"] if newest is None else max(newest, f["ts"])
        watermark = newest - out_of_order - 1
        start = f["ts"] - f["ts"] % size
        if start + size - 1 <= watermark:
            late.append(line)
        else:
            assert (start, f["carrier"]) not in closed
            windows.setdefault((start, f["carrier"]), []).append(f["dep_delay"])
        close(watermark)
    close(math.inf)
    return {"input.jsonl": lines, "expected.jsonl": encode(results), "expected-late.jsonl": late}


def group_by():
    lines = flights(500)
    seen, results = {}, []
    for f in records(lines):
        rows = seen.setdefault(f["carrier"], [])
        rows.append(f["dep_delay"])
        known = [delay for delay in rows if delay is not None]
        mean = sum(known) / len(known) if known else None
        spread = None
        if len(known) > 1:
            spread = math.sqrt(sum((delay - mean) ** 2 for delay in known) / (len(known) - 1))
        results.append({
            "carrier": f["carrier"],
            "flights": len(rows),
            "departed": len(known),
            "minutes": sum(known) if known else None,
            "earliest": min(known, default=None),
            "latest": max(known, default=None),
            "mean": mean,
            "spread": spread,
        })
    return {"input.jsonl": lines, "expected.jsonl": encode(results)}


def flat_map():
    days = {}
    for f in records(flights(700)):
        if f["tailnum"] is not None:
            day = "2013-01-%02d" % (1 + (f["ts"] - 1_356_998_400_000) // (24 * HOUR))
            days.setdefault((day, f["tailnum"]), []).append(f)
    inputs, results = [], []
    for (day, tailnum), legs in sorted(days.items(), key=lambda entry: entry[0]):
        legs.sort(key=lambda f: f["ts"])
        inputs.append({
            "tailnum": tailnum,
            "day": day,
            "legs": [
                {
                    "scheduled": f["ts"],
                    "flight": f["flight"],
                    "origin": f["origin"],
                    "dest": f["dest"],
                    "dep_delay": f["dep_delay"],
                    "air_time": f["air_time"],
                }
                for f in legs
            ],
        })
        for leg, f in enumerate(legs, start=1):
            if f["dep_delay"] is not None:
                left = f["ts"] + f["dep_delay"] * 60_000
                results.append({"tailnum": tailnum, "leg": leg, "event": "departure", "airport": f["origin"], "at": left})
            if f["air_time"] is not None:
                there = f["ts"] + (f["dep_delay"] + f["air_time"]) * 60_000
                results.append({"tailnum": tailnum, "leg": leg, "event": "arrival", "airport": f["dest"], "at": there})
    return {"input.jsonl": encode(inputs), "expected.jsonl": encode(results)}


def pipeline_of_pipelines():
    lines = filter_map()["expected.jsonl"]
    size, offset = 6 * HOUR, 5 * HOUR
    windows = {}
    for f in records(lines):
        # Out of order by a day at most: nothing here is late.
        if f["gain"] is not None and f["gain"] < 0:
            start = f["scheduled"] - (f["scheduled"] - offset) % size
            windows.setdefault((start, f["carrier"]), []).append(f)
    results = []
    for (start, carrier), rows in sorted(windows.items(), key=lambda window: window[0][0]):
        results.append({
            "carrier": carrier,
            "window_start": start,
            "window_end": start + size,
            "is_final": True,
            "flights": len(rows),
            "worst": min(f["gain"] for f in rows),
            "mean_delay": sum(f["dep_delay"] for f in rows) / len(rows),
        })
    return {"input.jsonl": lines, "expected.jsonl": encode(results)}


def join_table():
    lines = flights(500)
    airlines, airports, weather = table("airlines.csv"), table("airports.csv"), table("weather-january.csv")
    for row in weather:
        row["observed"] = int(datetime.datetime.fromisoformat(row["time_hour"]).timestamp() * 1000)
    results = []
    for f in records(lines):
        [airline] = [row["name"] for row in airlines if row["carrier"] == f["carrier"]]
        airport = [row for row in airports if row["faa"] == f["dest"]] or [{"name": None, "tzone": None}]
        before = [row for row in weather if row["origin"] == f["origin"] and row["observed"] <= f["ts"]]
        last = max(before, key=lambda row: row["observed"], default=None)
        results.append({
            "ts": f["ts"],
            "carrier": f["carrier"],
            "flight": f["flight"],
            "origin": f["origin"],
            "dest": f["dest"],
            "dep_delay": f["dep_delay"],
            "airline": airline,
            "airport": airport[0]["name"],
            "tzone": airport[0]["tzone"],
            "observed": last and last["observed"],
            "wind_speed": last and last["wind_speed"] and float(last["wind_speed"]),
            "precip": last and last["precip"] and float(last["precip"]),
        })
    return {"input.jsonl": lines, "expected.jsonl": encode(results)}


def table_topic():
    lines = flights(400)
    names = {row["carrier"]: row["name"] for row in table("airlines.csv") if row["carrier"] != "MQ"}
    rows = [{"carrier": "UA", "airline": {"name": "a name of before"}}]
    rows += [{"carrier": carrier, "airline": {"name": name}} for carrier, name in names.items()]
    results = [
        {
            "ts": f["ts"],
            "carrier": f["carrier"],
            "flight": f["flight"],
            "dest": f["dest"],
            "airline": names.get(f["carrier"]),
        }
        for f in records(lines)
    ]
    assert any(row["airline"] is None for row in results)
    return {"input.jsonl": lines, "airlines.jsonl": encode(rows), "expected.jsonl": encode(results)}


def damaged(at, line):
    """Line `at` as it would arrive if something on the way had broken it, and the reason that it must be refused for."""
    f = json.loads(line)
    if at == 5:
        return line[:40], "undecodable"
    if at == 9:
        return "[" + line + "]", "undecodable"
    if at == 14:
        return line + line, "undecodable"
    if at == 23:
        return line.replace('"dep_delay":', '"dep_delay":"late","was":'), "schema-mismatch"
    if at == 31:
        del f["ts"]
        return encode([f])[0], "schema-mismatch"
    if at == 38:
        f["flight"] = 1e300
        return encode([f])[0], "schema-mismatch"
    if at == 44:
        return line.replace('"arr_delay":', '"arr_delay":true,"was":'), "schema-mismatch"
    if at == 52:
        f["ts"] = "yesterday"
        return encode([f])[0], "schema-mismatch"
    return line, None


def dead_letters():
    lines, results, dead = [], [], []
    for at, line in enumerate(flights(460)):
        line, reason = damaged(at, line)
        lines.append(line)
        operator = "source"
        if reason is None:
            f = json.loads(line)
            if f["dep_delay"] is None:
                reason = "schema-mismatch"
            elif f["arr_delay"] is not None and f["dep_delay"] == 0:
                reason, operator = "expression-failed", "kept"
            else:
                percent = None
                if f["arr_delay"] is not None:
                    percent = f["arr_delay"] * 100
                    # Whole numbers divide towards zero, as in SQL.
                    percent = abs(percent) // abs(f["dep_delay"]) * (1 if (percent < 0) == (f["dep_delay"] < 0) else -1)
                results.append({"ts": f["ts"], "carrier": f["carrier"], "flight": f["flight"], "percent": percent})
        if reason is not None:
            dead.append({"reason": reason, "operator": operator, "offset": at, "value": line})
    return {"input.jsonl": lines, "expected.jsonl": encode(results), "expected-dead-letters.jsonl": encode(dead)}


def by_another_key():
    lines = flights(1700)
    size, windows = 24 * HOUR, {}
    for f in records(lines):
        # Out of order by a day at most: nothing is late.
        if f["dep_delay"] is not None:
            windows.setdefault((f["ts"] - f["ts"] % size, f["dest"]), []).append(f["dep_delay"])
    results = []
    for (start, dest), delays in sorted(windows.items(), key=lambda window: window[0][0]):
        results.append({
            "dest": dest,
            "window_start": start,
            "window_end": start + size,
            "is_final": True,
            "flights": len(delays),
            "worst": max(delays),
        })
    return {"input.jsonl": lines, "expected.jsonl": encode(results)}


def aggregates():
    lines = flights(1700)
    days = {}
    for f in records(lines):
        # A day in New York begins at 05:00 UTC. Out of order by a day at most: nothing here is late.
        start = f["ts"] - (f["ts"] - 5 * HOUR) % (24 * HOUR)
        days.setdefault((start, f["carrier"]), []).append(f)
    results = []
    for (start, carrier), rows in sorted(days.items(), key=lambda day: day[0][0]):
        by_time = sorted(rows, key=lambda f: f["ts"])
        planes = [f["tailnum"] for f in rows if f["tailnum"] is not None]
        delays = sorted(f["dep_delay"] for f in rows if f["dep_delay"] is not None)
        departed = [f for f in rows if f["dep_delay"] is not None]
        worst = sorted(departed, key=lambda f: -f["dep_delay"])[:3]
        results.append({
            "carrier": carrier,
            "window_start": start,
            "window_end": start + 24 * HOUR,
            "is_final": True,
            "flights": len(rows),
            "late": sum(1 for f in departed if f["dep_delay"] > 15),
            "planes": len(set(planes)),
            # Exact for so few.
            "planes_about": len(set(planes)),
            "first_to": by_time[0]["dest"],
            "last_to": [f["dest"] for f in by_time if f["ts"] == by_time[-1]["ts"]][-1],
            # Whole numbers below 256 have a bin of their own.
            "usual_delay": float(delays[(len(delays) + 1) // 2 - 1]) if delays else None,
            "worst": ["%s %d" % (f["dest"], f["dep_delay"]) for f in worst],
            "destinations": list(dict.fromkeys(f["dest"] for f in rows)),
        })
    return {"input.jsonl": lines, "expected.jsonl": encode(results)}


def sessions():
    lines = flights(1700)
    gap, aircraft = 12 * HOUR, {}
    for f in records(lines):
        # Out of order by a day at most: nothing here is late.
        if f["tailnum"] is not None:
            aircraft.setdefault(f["tailnum"], []).append(f)
    results = []
    for tailnum, rows in aircraft.items():
        rows.sort(key=lambda f: f["ts"])
        days = [[rows[0]]]
        for before, f in zip(rows, rows[1:]):
            if f["ts"] - before["ts"] > gap:
                days.append([])
            days[-1].append(f)
        for day in days:
            results.append({
                "tailnum": tailnum,
                "window_start": day[0]["ts"],
                "window_end": day[-1]["ts"] + gap,
                "is_final": True,
                "departures": len(day),
                "miles": sum(f["distance"] for f in day),
                "worst": max((f["dep_delay"] for f in day if f["dep_delay"] is not None), default=None),
            })
    return {"input.jsonl": lines, "expected.jsonl": encode(results)}


def windows_of_windows():
    lines = flights(1700)
    size, slide, day, offset = HOUR, HOUR // 4, 24 * HOUR, 5 * HOUR
    hours, days = {}, {}
    for f in records(lines):
        for start in range(f["ts"] - f["ts"] % slide - size + slide, f["ts"] + 1, slide):
            hours[f["carrier"], start] = hours.get((f["carrier"], start), 0) + 1
    for (carrier, start), count in hours.items():
        at = start + size - 1
        days.setdefault((carrier, at - (at - offset) % day), []).append(count)
    results = []
    for (carrier, start), counts in days.items():
        results.append({
            "carrier": carrier,
            "window_start": start,
            "window_end": start + day,
            "is_final": True,
            "most": max(counts),
            "hours": len(counts),
        })
    return {"input.jsonl": lines, "expected.jsonl": encode(results)}


def top_routes():
    lines = flights(1700)
    day, offset, counts, days = 24 * HOUR, 5 * HOUR, {}, {}
    for f in records(lines):
        # Out of order by a day at most: nothing is late.
        route = (f["ts"] - (f["ts"] - offset) % day, f["origin"] + "-" + f["dest"], f["distance"])
        counts[route] = counts.get(route, 0) + 1
    for (start, route, miles), count in counts.items():
        days.setdefault(start, []).append((count, miles, route))
    results = []
    for start, routes in days.items():
        best = sorted(routes, reverse=True)[:11]
        # Or their order would depend on which partition was read first.
        assert len({(count, miles) for count, miles, _ in best}) == 11
        best.pop()
        results.append({
            "day": start,
            "window_start": start,
            "window_end": start + day,
            "is_final": True,
            "routes": [route for _, _, route in best],
            "flights": [count for count, _, _ in best],
        })
    return {"input.jsonl": lines, "expected.jsonl": encode(results)}


def delays_and_weather():
    lines = flights(1700)
    weather = table("weather-january.csv")
    for row in weather:
        row["observed"] = int(datetime.datetime.fromisoformat(row["time_hour"]).timestamp() * 1000)
    hours = {}
    for f in records(lines):
        before = [row for row in weather if row["origin"] == f["origin"] and row["observed"] <= f["ts"]]
        last = max(before, key=lambda row: row["observed"], default={"wind_speed": None, "precip": None})
        hours.setdefault((f["ts"] - f["ts"] % HOUR, f["carrier"], f["origin"]), []).append((f["dep_delay"], last))
    results = []
    for (start, carrier, origin), rows in sorted(hours.items(), key=lambda hour: hour[0][0]):
        known = [delay for delay, _ in rows if delay is not None]
        most = {name: max((float(row[name]) for _, row in rows if row[name]), default=None) for name in ["wind_speed", "precip"]}
        results.append({
            "carrier": carrier,
            "origin": origin,
            "window_start": start,
            "window_end": start + HOUR,
            "is_final": True,
            "flights": len(rows),
            "delay": sum(known) / len(known) if known else None,
            "wind": most["wind_speed"],
            "rain": most["precip"],
        })
    return {"input.jsonl": lines, "expected.jsonl": encode(results)}


def keyed_state():
    lines = []
    for at, line in enumerate(flights(1200)):
        if json.loads(line)["tailnum"] is not None:
            lines.append(line)
            # Now and then something is sent again, at once or later.
            if at % 5 == 0:
                lines.append(lines[-1 - at % 3 * 40] if len(lines) > 100 else line)
    newest, forgotten, before, results = -math.inf, {}, {}, []
    for f in records(lines):
        newest = max(newest, f["ts"])
        watermark = newest - 4 * HOUR - 1
        key = (f["tailnum"], f["flight"])
        until = forgotten.get(key, -math.inf)
        if until > watermark and f["ts"] < until:
            continue
        forgotten[key] = max(until, f["ts"] + 12 * HOUR) if until > watermark else f["ts"] + 12 * HOUR
        last, kept = before.get(f["tailnum"], (None, -math.inf))
        if kept <= watermark:
            last, kept = None, -math.inf
        before[f["tailnum"]] = (f, max(kept, f["ts"] + 6 * HOUR))
        minutes = None
        if last:
            minutes = f["ts"] - last["ts"]
            # Whole numbers divide towards zero, as in SQL.
            minutes = abs(minutes) // 60_000 * (1 if minutes > 0 else -1)
        results.append({
            "tailnum": f["tailnum"],
            "flight": f["flight"],
            "origin": f["origin"],
            "was_bound_for": last["dest"] if last else None,
            "minutes": minutes,
        })
    assert len(results) < len(lines) - 150
    assert sum(row["was_bound_for"] is not None for row in results) > 100
    return {"input.jsonl": lines, "expected.jsonl": encode(results)}


def join_streams():
    lines = flights(1700)
    departures = records(lines)
    landings = [
        {"carrier": f["carrier"], "number": f["flight"], "landed": f["ts"] + (f["dep_delay"] + f["air_time"]) * 60_000}
        for f in departures
        if f["arr_delay"] is not None
    ]
    landings.sort(key=lambda landing: landing["landed"])
    newest = 0
    for f in departures:
        newest = max(newest, f["ts"])
        assert f["ts"] >= newest - 24 * HOUR, "no departure is late"
    results, alone = [], 0
    for f in departures:
        matches = [
            landing["landed"]
            for landing in landings
            if (landing["carrier"], landing["number"]) == (f["carrier"], f["flight"])
            and f["ts"] <= landing["landed"] <= f["ts"] + 18 * HOUR
        ]
        alone += not matches
        for landed in matches or [None]:
            results.append({
                "carrier": f["carrier"],
                "flight": f["flight"],
                "ts": f["ts"],
                "dest": f["dest"],
                "landed": landed,
            })
    assert 5 < alone < 50
    return {"input.jsonl": lines, "landings.jsonl": encode(landings), "expected.jsonl": encode(results)}


EXAMPLES = {
    "01-filter-map": filter_map,
    "02-tumbling-window": tumbling_window,
    "03-group-by": group_by,
    "04-flat-map": flat_map,
    "05-dead-letters": dead_letters,
    "06-pipeline-of-pipelines": pipeline_of_pipelines,
    "08-by-another-key": by_another_key,
    "07-join-table": join_table,
    "09-aggregates": aggregates,
    "11-sessions": sessions,
    "12-windows-of-windows": windows_of_windows,
    "10-keyed-state": keyed_state,
    "13-join-streams": join_streams,
    "16-table-topic": table_topic,
    "14-top-routes": top_routes,
    "15-delays-and-weather": delays_and_weather,
}


def main():
    stale = []
    for folder, compute in EXAMPLES.items():
        for name, lines in compute().items():
            path = HERE / folder / name
            text = "".join(line + "\n" for line in lines)
            if "--check" in sys.argv[1:]:
                if not path.exists() or path.read_text(encoding="utf-8") != text:
                    stale.append(str(path.relative_to(HERE)))
            else:
                path.write_text(text, encoding="utf-8")
    if stale:
        sys.exit("not what expected.py computes (run it to rewrite them): " + ", ".join(stale))


if __name__ == "__main__":
    main()
