/*
 * All frames of a capture file, in memory. A child process reads it, as `keyslab run` would, and leaves it in a file in
 * memory: the allocator that is measured has not been used by then.
 */
#ifndef BENCH_RECORDING_H
#define BENCH_RECORDING_H

#include "require.h"
#include "table.h"

extern "C" {
#include "../tools/capture.h"
}

#include <map>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench
{

class Recording
{
    struct Header {
        uint32_t length; /* on the wire */
        uint32_t captured;
        uint64_t link;
    };
    struct Source {
        const uint8_t *bytes;
        uint32_t length;
        uint32_t captured;
        uint16_t link;
    };
    static constexpr size_t padding = 8;

    size_t file_bytes;
    const uint8_t *file;
    std::unique_ptr<Table<Source>> frames;

    /* Its exit status says whether it could; the complaint has been made. */
    [[noreturn]] static void read_in_child(const std::string &path, int descriptor)
    {
        const uint8_t zeros[padding] = {};
        captured frame;
        FILE *out = fdopen(descriptor, "w");
        struct capture *source = out ? capture_open(path.c_str(), nullptr) : nullptr;
        if (!source)
            _exit(1);
        capture_result result;
        while ((result = capture_next(source, &frame)) == CAPTURE_FRAME) {
            Header header{frame.length, frame.captured, frame.link};
            fwrite(&header, sizeof header, 1, out);
            fwrite(frame.bytes, 1, frame.captured, out);
            fwrite(zeros, 1, -frame.captured % padding, out);
        }
        _exit(result == CAPTURE_END && fclose(out) == 0 ? 0 : 1);
    }
    static size_t record_bytes(const Header *header)
    {
        return sizeof *header + (header->captured + padding - 1) / padding * padding;
    }
    const Header *header_at(size_t offset) const
    {
        return reinterpret_cast<const Header *>(file + offset);
    }

  public:
    /* Ends the program with status 2 after a complaint where the file is no capture. */
    explicit Recording(const std::string &path)
    {
        int descriptor = memfd_create("recording", MFD_CLOEXEC);
        require(descriptor >= 0, "capture: no file in memory");
        pid_t child = fork();
        if (child == 0)
            read_in_child(path, descriptor);
        int status = -1;
        struct stat about {
        };
        if (child < 0 || waitpid(child, &status, 0) != child || status || fstat(descriptor, &about) || !about.st_size) {
            fprintf(stderr, "bench: %s: no frames from that capture\n", path.c_str());
            _exit(2);
        }
        file_bytes = static_cast<size_t>(about.st_size);
        void *mapped = mmap(nullptr, file_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, descriptor, 0);
        require(mapped != MAP_FAILED, "capture: no room for the frames");
        close(descriptor);
        file = static_cast<const uint8_t *>(mapped);
        size_t count = 0;
        for (size_t at = 0; at < file_bytes; at += record_bytes(header_at(at)))
            count++;
        frames = std::make_unique<Table<Source>>(count);
        size_t at = 0;
        for (Source &frame : *frames) {
            const Header *header = header_at(at);
            frame = {file + at + sizeof *header, header->length, header->captured, static_cast<uint16_t>(header->link)};
            at += record_bytes(header);
        }
    }
    ~Recording()
    {
        munmap(const_cast<uint8_t *>(file), file_bytes);
    }
    Recording(const Recording &) = delete;
    Recording &operator=(const Recording &) = delete;

    const Source *begin() const
    {
        return frames->begin();
    }
    const Source *end() const
    {
        return frames->end();
    }
    size_t size() const
    {
        return frames->size();
    }

    /* As --sizes takes them. */
    std::string sizes() const
    {
        std::map<size_t, size_t> counts;
        for (const Source &frame : *this)
            counts[frame.length]++;
        std::string text;
        for (auto [size, count] : counts)
            text.append(std::to_string(size)).append(":").append(std::to_string(count)).append(",");
        text.pop_back();
        return text;
    }
};

} // namespace bench

#endif
