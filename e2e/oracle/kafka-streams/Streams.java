package io.millrace.oracle;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Properties;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.SlidingWindows;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.ValueJoiner;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.TimestampExtractor;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers;

/**
 * Kafka Streams without a broker: a job a line on stdin, its results as a list a line on stdout. Jobs are those of
 * e2e/src/peers.rs. Times are milliseconds; stream time is the newest time seen, without a delay.
 */
public final class Streams {
    private static final ObjectMapper JSON = new ObjectMapper();
    /** Later than every record: closes what is still open. Its own results are left out. */
    private static final String CLOSING = "closing";

    private Streams() {
    }

    public static void main(String[] arguments) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            System.out.println(JSON.writeValueAsString(run(JSON.readTree(line))));
        }
    }

    private static ArrayNode run(JsonNode job) {
        ArrayNode results = JSON.createArrayNode();
        StreamsBuilder builder = new StreamsBuilder();
        Consumed<String, JsonNode> consumed = Consumed.with(Serdes.String(), json()).withTimestampExtractor(time());
        KStream<String, JsonNode> left = builder.stream("left", consumed);
        switch (job.get("kind").asText()) {
            case "tumbling", "sliding" -> {
                TimeWindows windows = TimeWindows.ofSizeAndGrace(millis(job, "size"), millis(job, "grace"));
                if (job.has("slide")) {
                    windows = windows.advanceBy(millis(job, "slide"));
                }
                KTable<Windowed<String>, JsonNode> table = grouped(left).windowedBy(windows)
                        .aggregate(Streams::nothing, Streams::add, Materialized.with(Serdes.String(), json()));
                collect(job, table, results);
            }
            case "record-aligned" -> {
                SlidingWindows windows =
                        SlidingWindows.ofTimeDifferenceAndGrace(millis(job, "size"), millis(job, "grace"));
                KTable<Windowed<String>, JsonNode> table = grouped(left).windowedBy(windows)
                        .aggregate(Streams::nothing, Streams::add, Materialized.with(Serdes.String(), json()));
                collect(job, table, results);
            }
            case "session" -> {
                SessionWindows windows =
                        SessionWindows.ofInactivityGapAndGrace(millis(job, "gap"), millis(job, "grace"));
                KTable<Windowed<String>, JsonNode> table = grouped(left).windowedBy(windows)
                        .aggregate(Streams::nothing, Streams::add, (key, one, other) -> merge(one, other),
                                Materialized.with(Serdes.String(), json()));
                collect(job, table, results);
            }
            case "join" -> {
                KStream<String, JsonNode> right = builder.stream("right", consumed);
                JoinWindows windows = JoinWindows
                        .ofTimeDifferenceAndGrace(Duration.ZERO, millis(job, "grace"))
                        .before(millis(job, "before")).after(millis(job, "after"));
                StreamJoined<String, JsonNode, JsonNode> joined =
                        StreamJoined.with(Serdes.String(), json(), json());
                ValueJoiner<JsonNode, JsonNode, JsonNode> both = Streams::pair;
                KStream<String, JsonNode> pairs = switch (job.get("type").asText()) {
                    case "left" -> left.leftJoin(right, both, windows, joined);
                    case "outer" -> left.outerJoin(right, both, windows, joined);
                    default -> left.join(right, both, windows, joined);
                };
                pairs.foreach((key, pair) -> add(results, key, pair));
            }
            case "table" -> {
                KTable<String, JsonNode> table = builder.table("right", consumed);
                Joined<String, JsonNode, JsonNode> joined = Joined.with(Serdes.String(), json(), json());
                KStream<String, JsonNode> pairs = "left".equals(job.get("type").asText())
                        ? left.leftJoin(table, Streams::pair, joined)
                        : left.join(table, Streams::pair, joined);
                pairs.foreach((key, pair) -> add(results, key, pair));
            }
            default -> throw new IllegalArgumentException(job.get("kind").asText());
        }
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "oracle");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "none:9092");
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        // The driver flushes stores after every record.
        settings.put(StreamsConfig.DSL_STORE_SUPPLIERS_CLASS_CONFIG, BuiltInDslStoreSuppliers.InMemoryDslStoreSuppliers.class);
        // Non-matches of outer joins are looked for once a second of wall-clock time: here at every record.
        settings.put("__emit.interval.ms.kstreams.outer.join.spurious.results.fix__", 0L);
        try (TopologyTestDriver driver = new TopologyTestDriver(builder.build(), settings)) {
            play(job, driver);
        }
        return results;
    }

    /** Records in the order of the job: `side` says where each belongs. */
    private static void play(JsonNode job, TopologyTestDriver driver) {
        boolean two = "join".equals(job.get("kind").asText()) || "table".equals(job.get("kind").asText());
        TestInputTopic<String, JsonNode> left = topic(driver, "left");
        TestInputTopic<String, JsonNode> right = two ? topic(driver, "right") : null;
        for (JsonNode record : job.get("records")) {
            ("right".equals(record.path("side").asText()) ? right : left)
                    .pipeInput(record.get("key").asText(), record);
        }
        if (job.path("close").asBoolean(true)) {
            ObjectNode closing = JSON.createObjectNode().put("key", CLOSING).put("time", 4_000_000_000_000L);
            closing.put("value", 0);
            left.pipeInput(CLOSING, closing);
            if ("join".equals(job.get("kind").asText())) {
                right.pipeInput("another", closing);
                // Non-matches come out when a record is taken in after stream time has passed them.
                left.pipeInput(CLOSING, closing);
            }
        }
    }

    private static TestInputTopic<String, JsonNode> topic(TopologyTestDriver driver, String name) {
        return driver.createInputTopic(name, Serdes.String().serializer(), json().serializer());
    }

    private static KGroupedStream<String, JsonNode> grouped(KStream<String, JsonNode> stream) {
        return stream.groupByKey(Grouped.with(Serdes.String(), json()));
    }

    /** Once when the window is closed, or with `updates` after every record. */
    private static void collect(JsonNode job, KTable<Windowed<String>, JsonNode> table, ArrayNode results) {
        KTable<Windowed<String>, JsonNode> shown = job.path("updates").asBoolean()
                ? table
                : table.suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()));
        shown.toStream().foreach((window, totals) -> {
            if (totals != null && !window.key().equals(CLOSING)) {
                ObjectNode result = totals.deepCopy();
                result.put("key", window.key());
                result.put("start", window.window().start());
                result.put("end", window.window().end());
                results.add(result);
            }
        });
    }

    private static JsonNode nothing() {
        return JSON.createObjectNode().put("count", 0).put("sum", 0).putNull("min").putNull("max");
    }

    private static JsonNode add(String key, JsonNode record, JsonNode totals) {
        ObjectNode next = totals.deepCopy();
        next.put("count", totals.get("count").asLong() + 1);
        if (!record.path("value").isNull()) {
            long value = record.get("value").asLong();
            next.put("sum", totals.get("sum").asLong() + value);
            next.put("min", totals.get("min").isNull() ? value : Math.min(value, totals.get("min").asLong()));
            next.put("max", totals.get("max").isNull() ? value : Math.max(value, totals.get("max").asLong()));
        }
        return next;
    }

    private static JsonNode merge(JsonNode one, JsonNode other) {
        ObjectNode both = one.deepCopy();
        both.put("count", one.get("count").asLong() + other.get("count").asLong());
        both.put("sum", one.get("sum").asLong() + other.get("sum").asLong());
        if (one.get("min").isNull() || !other.get("min").isNull() && other.get("min").asLong() < one.get("min").asLong()) {
            both.set("min", other.get("min"));
        }
        if (one.get("max").isNull() || !other.get("max").isNull() && other.get("max").asLong() > one.get("max").asLong()) {
            both.set("max", other.get("max"));
        }
        return both;
    }

    private static JsonNode pair(JsonNode left, JsonNode right) {
        ObjectNode pair = JSON.createObjectNode();
        pair.set("left", left == null ? null : left.get("value"));
        pair.set("right", right == null ? null : right.get("value"));
        return pair;
    }

    private static void add(ArrayNode results, String key, JsonNode pair) {
        if (!key.equals(CLOSING) && !key.equals("another")) {
            results.add(((ObjectNode) pair).put("key", key));
        }
    }

    private static Duration millis(JsonNode job, String name) {
        return Duration.ofMillis(job.get(name).asLong());
    }

    private static TimestampExtractor time() {
        return (record, before) -> ((JsonNode) record.value()).get("time").asLong();
    }

    private static Serde<JsonNode> json() {
        Deserializer<JsonNode> reader = (topic, bytes) -> {
            try {
                return bytes == null ? null : JSON.readTree(bytes);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
        return Serdes.serdeFrom((topic, node) -> node == null ? null : node.toString().getBytes(StandardCharsets.UTF_8),
                reader);
    }
}
