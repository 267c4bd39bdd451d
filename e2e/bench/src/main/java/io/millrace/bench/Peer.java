package io.millrace.bench;

import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.processor.TimestampExtractor;

/**
 * The jobs of filter-map.yaml and tumbling.yaml on Kafka Streams: typed JSON by Jackson, exactly once, one commit a second.
 * Prints RUNNING when it has its partitions.
 */
public final class Peer {
    /** What the jobs read of an event; the rest is skipped. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    public static final class Event {
        public long ts;
        public String user;
        public String type;
        public double amount;
    }

    /** Result of filter and map. */
    @JsonPropertyOrder({"ts", "user", "type", "amount_eur"})
    public record Converted(long ts, String user, String type, double amount_eur) {
    }

    /** Running state of a user's window. */
    public static final class Totals {
        public long events;
        public double amount;

        Totals add(Event event) {
            events++;
            amount += event.amount;
            return this;
        }
    }

    /** Result of a window. */
    @JsonPropertyOrder({"user", "window_start", "window_end", "is_final", "events", "amount", "mean"})
    public record Result(String user, long window_start, long window_end, boolean is_final, long events, double amount, double mean) {
    }

    private Peer() {
    }

    public static void main(String[] arguments) throws InterruptedException {
        if (arguments.length != 6) {
            System.err.println("usage: Peer BOOTSTRAP filter-map|tumbling SOURCE SINK APPLICATION-ID STATE-DIR");
            System.exit(2);
        }
        Topology topology = topology(arguments[1], arguments[2], arguments[3]);
        KafkaStreams streams = new KafkaStreams(topology, settings(arguments[0], arguments[4], arguments[5]));
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                System.out.println("RUNNING");
            }
        });
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(Duration.ofSeconds(20));
            stopped.countDown();
        }));
        streams.start();
        stopped.await();
    }

    private static Properties settings(String bootstrap, String application, String stateDir) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, stateDir);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        return settings;
    }

    private static Topology topology(String mode, String source, String sink) {
        TimestampExtractor eventTime = (ConsumerRecord<Object, Object> record, long partitionTime) -> ((Event) record.value()).ts;
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, Event> events = builder.stream(
            source, Consumed.with(Serdes.String(), json(Event.class)).withTimestampExtractor(eventTime));
        switch (mode) {
            case "filter-map" -> events
                .filter((user, event) -> event.type.equals("purchase") && event.amount > 50)
                .mapValues(event -> new Converted(event.ts, event.user, event.type, event.amount * 0.92))
                .to(sink, Produced.with(Serdes.String(), json(Converted.class)));
            case "tumbling" -> events
                .groupByKey(Grouped.with(Serdes.String(), json(Event.class)))
                .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofSeconds(5), Duration.ofSeconds(1)))
                .aggregate(Totals::new, (user, event, totals) -> totals.add(event), Materialized.with(Serdes.String(), json(Totals.class)))
                .suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()))
                .toStream((window, totals) -> window)
                .map((window, totals) -> new org.apache.kafka.streams.KeyValue<>(window.key(), new Result(
                    window.key(), window.window().start(), window.window().end(), true,
                    totals.events, totals.amount, totals.amount / totals.events)))
                .to(sink, Produced.with(Serdes.String(), json(Result.class)));
            default -> throw new IllegalArgumentException(mode);
        }
        return builder.build();
    }

    private static <T> Serde<T> json(Class<T> type) {
        ObjectMapper mapper = new ObjectMapper();
        ObjectReader reader = mapper.readerFor(type);
        ObjectWriter writer = mapper.writerFor(type);
        Deserializer<T> read = (topic, bytes) -> {
            try {
                return bytes == null ? null : reader.readValue(bytes);
            } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
        };
        return Serdes.serdeFrom((topic, value) -> {
            try {
                return value == null ? null : writer.writeValueAsBytes(value);
            } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
        }, read);
    }
}
