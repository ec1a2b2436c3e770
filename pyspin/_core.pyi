# SPDX-License-Identifier: Apache-2.0
# Made by tools/gen_stub.py from the built extension; do not edit.

from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, NewType, TypeVar, overload

T = TypeVar("T")
P = TypeVar("P")

class CData:
    def __getitem__(self, index: Any, /) -> Any: ...
    def __setitem__(self, index: int | slice, value: Any, /) -> None: ...
    def __len__(self) -> int: ...
    def __int__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __add__(self, offset: int, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...

# A pointer or an array whose elements are of one type.
class Out(CData, Generic[T]):
    @overload
    def __getitem__(self, index: int, /) -> T: ...
    @overload
    def __getitem__(self, index: slice, /) -> Out[T]: ...
    def __setitem__(self, index: int | slice, value: T | Sequence[T], /) -> None: ...

class Buffer:
    def __len__(self) -> int: ...
    def __getitem__(self, index: int | slice, /) -> bytes: ...
    def __setitem__(self, index: int | slice, value: bytes, /) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

class CType:
    cname: str
    kind: str
    item: Any
    args: tuple[Any, ...]
    result: Any
    fields: Any

spn_allocator = NewType("spn_allocator", CData)
spn_bulk = NewType("spn_bulk", CData)
spn_inbox = NewType("spn_inbox", CData)
spn_link = NewType("spn_link", CData)
spn_packets = NewType("spn_packets", CData)
spn_ring = NewType("spn_ring", CData)
spn_sender = NewType("spn_sender", CData)
spn_sequences = NewType("spn_sequences", CData)
spn_stream = NewType("spn_stream", CData)
spn_threads = NewType("spn_threads", CData)
spn_window = NewType("spn_window", CData)

class spn_buffer(CData):
    data: CData
    size: int

class spn_completion(CData):
    token: int
    result: int

class spn_endpoint(CData):
    address: CData
    port: int
    scope: int

class spn_heap(CData):
    cnt: int
    heap_length: int
    received_length: int
    payload_length: int
    payload: Out[int]
    items: spn_item
    item_count: int
    ranges: spn_range
    range_count: int
    last_packet_ns: int
    tag: int
    bug_compat: int
    heap_address_bits: int
    is_contiguous: bool
    is_start_of_stream: bool
    is_end_of_stream: bool

class spn_heap_reference(CData):
    packets: spn_packets
    cnt: int
    endpoint: int

class spn_inbox_stats(CData):
    datagrams: int
    bytes: int
    calls: int
    suspensions: int
    socket_errors: int
    high_water: int

class spn_item(CData):
    id: int
    value: int
    length: int
    is_immediate: bool

class spn_log_record(CData):
    level: int
    repeats: int
    text: CData

class spn_packet_ring_config(CData):
    interface_index: int
    port: int
    is_ipv6: bool
    any_address: bool
    address: Out[int]
    max_size: int
    block_size: int
    block_count: int
    block_timeout_ms: int
    all_protocols: bool
    fanout_group: int
    fanout_mode: int
    guard_fd: int

class spn_pool_stats(CData):
    free: int
    outstanding: int
    hits: int
    misses: int
    refilled: int

class spn_range(CData):
    begin: int
    end: int

class spn_scp_outcome(CData):
    token: int
    status: int
    offset: int
    length: int
    code: int
    sequence: int
    attempts: int

class spn_send_item(CData):
    id: int
    value: int
    data: CData
    length: int
    is_immediate: bool

class spn_sender_config(CData):
    rate: float
    burst_rate_ratio: float
    burst_size: int
    max_heaps: int
    gso: bool
    may_connect: bool

class spn_sender_stats(CData):
    heaps: int
    bytes: int
    packets: int
    messages: int
    calls: int
    errors: int
    refused: int
    cancelled: int
    socket_full: int
    gso_refused: int

class spn_stream_config(CData):
    max_heaps: int
    contiguous_only: bool
    keep_payload_ranges: bool
    stop_on_stop_item: bool
    memcpy_id: int
    max_latency_ns: int
    tag: int
    bug_compat: int

class spn_stream_stats(CData):
    heaps: int
    incomplete_heaps_evicted: int
    incomplete_heaps_flushed: int
    packets: int
    worker_blocked: int
    max_batch: int
    bytes: int
    datagrams: int
    messages: int
    calls: int
    bytes_placed: int
    bytes_copied: int
    kernel_drops: int
    rejected_short: int
    rejected_magic: int
    rejected_widths: int
    rejected_header: int
    rejected_missing: int
    rejected_truncated: int
    rejected_heap_length: int
    rejected_size_mismatch: int
    rejected_oversize: int
    rejected_ip: int
    socket_errors: int
    refused_duplicate: int
    refused_overlap: int
    refused_heap_length: int
    refused_flavour: int
    refused_memory: int
    heaps_dropped_incomplete: int
    heaps_dropped_memory: int
    heaps_dropped_stop: int
    ring_high_water: int

class spn_transfer(CData):
    kind: int
    x: int
    y: int
    cpu: int
    link: int
    address: int
    word: int
    length: int
    data: Out[int]
    done: int
    status: int
    code: int

class spn_udp_reader_config(CData):
    max_size: int
    gro: bool
    scatter: bool
    busy_poll_us: int
    huge_pages: bool

class spn_window_config(CData):
    channels: int
    waits: int
    retries: int
    timeout_ns: int
    probe: bool

class spn_window_stats(CData):
    requests: int
    replies: int
    sent: int
    resent: int
    resent_retry_code: int
    resent_overtaken: int
    resent_probe: int
    timeouts: int
    ignored_short: int
    ignored_oversize: int
    ignored_flags: int
    ignored_command: int
    ignored_length: int
    ignored_unknown: int
    ignored_late: int
    socket_errors: int
    channels: int
    in_progress: int

class FFI:
    NULL: Any
    error: type[Exception]
    buffer: Callable[..., Buffer]
    def cast(self, ctype: str, value: Any, /) -> Any: ...
    def string(self, cdata: CData, maxlen: int = -1) -> bytes: ...
    def unpack(self, cdata: CData, length: int) -> Any: ...
    @overload
    def from_buffer(self, data: Any, /, *, require_writable: bool = False) -> CData: ...
    @overload
    def from_buffer(self, ctype: str, data: Any, /, *, require_writable: bool = False) -> CData: ...
    def gc(self, pointer: P, destructor: Callable[[P], None] | None, size: int = 0) -> P: ...
    def memmove(self, dest: Any, src: Any, n: int) -> None: ...
    def addressof(self, cdata: Any, *fields: str | int) -> Any: ...
    def sizeof(self, cdecl: str | CData) -> int: ...
    def typeof(self, cdecl: Any) -> CType: ...
    def list_types(self) -> tuple[list[str], list[str], list[str]]: ...
    @overload
    def new(self, cdecl: Literal["spn_buffer *"], init: Any = None) -> spn_buffer: ...
    @overload
    def new(self, cdecl: Literal["spn_buffer[]"], init: Any) -> Out[spn_buffer]: ...
    @overload
    def new(self, cdecl: Literal["spn_buffer *[]"], init: Any) -> Out[spn_buffer]: ...
    @overload
    def new(self, cdecl: Literal["spn_completion *"], init: Any = None) -> spn_completion: ...
    @overload
    def new(self, cdecl: Literal["spn_completion[]"], init: Any) -> Out[spn_completion]: ...
    @overload
    def new(self, cdecl: Literal["spn_completion *[]"], init: Any) -> Out[spn_completion]: ...
    @overload
    def new(self, cdecl: Literal["spn_endpoint *"], init: Any = None) -> spn_endpoint: ...
    @overload
    def new(self, cdecl: Literal["spn_endpoint[]"], init: Any) -> Out[spn_endpoint]: ...
    @overload
    def new(self, cdecl: Literal["spn_endpoint *[]"], init: Any) -> Out[spn_endpoint]: ...
    @overload
    def new(self, cdecl: Literal["spn_heap *"], init: Any = None) -> spn_heap: ...
    @overload
    def new(self, cdecl: Literal["spn_heap[]"], init: Any) -> Out[spn_heap]: ...
    @overload
    def new(self, cdecl: Literal["spn_heap *[]"], init: Any) -> Out[spn_heap]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_heap_reference *"], init: Any = None
    ) -> spn_heap_reference: ...
    @overload
    def new(self, cdecl: Literal["spn_heap_reference[]"], init: Any) -> Out[spn_heap_reference]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_heap_reference *[]"], init: Any
    ) -> Out[spn_heap_reference]: ...
    @overload
    def new(self, cdecl: Literal["spn_inbox_stats *"], init: Any = None) -> spn_inbox_stats: ...
    @overload
    def new(self, cdecl: Literal["spn_inbox_stats[]"], init: Any) -> Out[spn_inbox_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_inbox_stats *[]"], init: Any) -> Out[spn_inbox_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_item *"], init: Any = None) -> spn_item: ...
    @overload
    def new(self, cdecl: Literal["spn_item[]"], init: Any) -> Out[spn_item]: ...
    @overload
    def new(self, cdecl: Literal["spn_item *[]"], init: Any) -> Out[spn_item]: ...
    @overload
    def new(self, cdecl: Literal["spn_log_record *"], init: Any = None) -> spn_log_record: ...
    @overload
    def new(self, cdecl: Literal["spn_log_record[]"], init: Any) -> Out[spn_log_record]: ...
    @overload
    def new(self, cdecl: Literal["spn_log_record *[]"], init: Any) -> Out[spn_log_record]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_packet_ring_config *"], init: Any = None
    ) -> spn_packet_ring_config: ...
    @overload
    def new(
        self, cdecl: Literal["spn_packet_ring_config[]"], init: Any
    ) -> Out[spn_packet_ring_config]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_packet_ring_config *[]"], init: Any
    ) -> Out[spn_packet_ring_config]: ...
    @overload
    def new(self, cdecl: Literal["spn_pool_stats *"], init: Any = None) -> spn_pool_stats: ...
    @overload
    def new(self, cdecl: Literal["spn_pool_stats[]"], init: Any) -> Out[spn_pool_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_pool_stats *[]"], init: Any) -> Out[spn_pool_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_range *"], init: Any = None) -> spn_range: ...
    @overload
    def new(self, cdecl: Literal["spn_range[]"], init: Any) -> Out[spn_range]: ...
    @overload
    def new(self, cdecl: Literal["spn_range *[]"], init: Any) -> Out[spn_range]: ...
    @overload
    def new(self, cdecl: Literal["spn_scp_outcome *"], init: Any = None) -> spn_scp_outcome: ...
    @overload
    def new(self, cdecl: Literal["spn_scp_outcome[]"], init: Any) -> Out[spn_scp_outcome]: ...
    @overload
    def new(self, cdecl: Literal["spn_scp_outcome *[]"], init: Any) -> Out[spn_scp_outcome]: ...
    @overload
    def new(self, cdecl: Literal["spn_send_item *"], init: Any = None) -> spn_send_item: ...
    @overload
    def new(self, cdecl: Literal["spn_send_item[]"], init: Any) -> Out[spn_send_item]: ...
    @overload
    def new(self, cdecl: Literal["spn_send_item *[]"], init: Any) -> Out[spn_send_item]: ...
    @overload
    def new(self, cdecl: Literal["spn_sender_config *"], init: Any = None) -> spn_sender_config: ...
    @overload
    def new(self, cdecl: Literal["spn_sender_config[]"], init: Any) -> Out[spn_sender_config]: ...
    @overload
    def new(self, cdecl: Literal["spn_sender_config *[]"], init: Any) -> Out[spn_sender_config]: ...
    @overload
    def new(self, cdecl: Literal["spn_sender_stats *"], init: Any = None) -> spn_sender_stats: ...
    @overload
    def new(self, cdecl: Literal["spn_sender_stats[]"], init: Any) -> Out[spn_sender_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_sender_stats *[]"], init: Any) -> Out[spn_sender_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_stream_config *"], init: Any = None) -> spn_stream_config: ...
    @overload
    def new(self, cdecl: Literal["spn_stream_config[]"], init: Any) -> Out[spn_stream_config]: ...
    @overload
    def new(self, cdecl: Literal["spn_stream_config *[]"], init: Any) -> Out[spn_stream_config]: ...
    @overload
    def new(self, cdecl: Literal["spn_stream_stats *"], init: Any = None) -> spn_stream_stats: ...
    @overload
    def new(self, cdecl: Literal["spn_stream_stats[]"], init: Any) -> Out[spn_stream_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_stream_stats *[]"], init: Any) -> Out[spn_stream_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_transfer *"], init: Any = None) -> spn_transfer: ...
    @overload
    def new(self, cdecl: Literal["spn_transfer[]"], init: Any) -> Out[spn_transfer]: ...
    @overload
    def new(self, cdecl: Literal["spn_transfer *[]"], init: Any) -> Out[spn_transfer]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_udp_reader_config *"], init: Any = None
    ) -> spn_udp_reader_config: ...
    @overload
    def new(
        self, cdecl: Literal["spn_udp_reader_config[]"], init: Any
    ) -> Out[spn_udp_reader_config]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_udp_reader_config *[]"], init: Any
    ) -> Out[spn_udp_reader_config]: ...
    @overload
    def new(self, cdecl: Literal["spn_window_config *"], init: Any = None) -> spn_window_config: ...
    @overload
    def new(self, cdecl: Literal["spn_window_config[]"], init: Any) -> Out[spn_window_config]: ...
    @overload
    def new(self, cdecl: Literal["spn_window_config *[]"], init: Any) -> Out[spn_window_config]: ...
    @overload
    def new(self, cdecl: Literal["spn_window_stats *"], init: Any = None) -> spn_window_stats: ...
    @overload
    def new(self, cdecl: Literal["spn_window_stats[]"], init: Any) -> Out[spn_window_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_window_stats *[]"], init: Any) -> Out[spn_window_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_allocator **"], init: Any = None) -> Out[spn_allocator]: ...
    @overload
    def new(self, cdecl: Literal["spn_buffer **"], init: Any = None) -> Out[spn_buffer]: ...
    @overload
    def new(self, cdecl: Literal["spn_bulk **"], init: Any = None) -> Out[spn_bulk]: ...
    @overload
    def new(self, cdecl: Literal["spn_completion **"], init: Any = None) -> Out[spn_completion]: ...
    @overload
    def new(self, cdecl: Literal["spn_endpoint **"], init: Any = None) -> Out[spn_endpoint]: ...
    @overload
    def new(self, cdecl: Literal["spn_heap **"], init: Any = None) -> Out[spn_heap]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_heap_reference **"], init: Any = None
    ) -> Out[spn_heap_reference]: ...
    @overload
    def new(self, cdecl: Literal["spn_inbox **"], init: Any = None) -> Out[spn_inbox]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_inbox_stats **"], init: Any = None
    ) -> Out[spn_inbox_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_item **"], init: Any = None) -> Out[spn_item]: ...
    @overload
    def new(self, cdecl: Literal["spn_link **"], init: Any = None) -> Out[spn_link]: ...
    @overload
    def new(self, cdecl: Literal["spn_log_record **"], init: Any = None) -> Out[spn_log_record]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_packet_ring_config **"], init: Any = None
    ) -> Out[spn_packet_ring_config]: ...
    @overload
    def new(self, cdecl: Literal["spn_packets **"], init: Any = None) -> Out[spn_packets]: ...
    @overload
    def new(self, cdecl: Literal["spn_pool_stats **"], init: Any = None) -> Out[spn_pool_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_range **"], init: Any = None) -> Out[spn_range]: ...
    @overload
    def new(self, cdecl: Literal["spn_ring **"], init: Any = None) -> Out[spn_ring]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_scp_outcome **"], init: Any = None
    ) -> Out[spn_scp_outcome]: ...
    @overload
    def new(self, cdecl: Literal["spn_send_item **"], init: Any = None) -> Out[spn_send_item]: ...
    @overload
    def new(self, cdecl: Literal["spn_sender **"], init: Any = None) -> Out[spn_sender]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_sender_config **"], init: Any = None
    ) -> Out[spn_sender_config]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_sender_stats **"], init: Any = None
    ) -> Out[spn_sender_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_sequences **"], init: Any = None) -> Out[spn_sequences]: ...
    @overload
    def new(self, cdecl: Literal["spn_stream **"], init: Any = None) -> Out[spn_stream]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_stream_config **"], init: Any = None
    ) -> Out[spn_stream_config]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_stream_stats **"], init: Any = None
    ) -> Out[spn_stream_stats]: ...
    @overload
    def new(self, cdecl: Literal["spn_threads **"], init: Any = None) -> Out[spn_threads]: ...
    @overload
    def new(self, cdecl: Literal["spn_transfer **"], init: Any = None) -> Out[spn_transfer]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_udp_reader_config **"], init: Any = None
    ) -> Out[spn_udp_reader_config]: ...
    @overload
    def new(self, cdecl: Literal["spn_window **"], init: Any = None) -> Out[spn_window]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_window_config **"], init: Any = None
    ) -> Out[spn_window_config]: ...
    @overload
    def new(
        self, cdecl: Literal["spn_window_stats **"], init: Any = None
    ) -> Out[spn_window_stats]: ...
    @overload
    def new(self, cdecl: str, init: Any = None) -> Any: ...

class Lib:
    SPN_EFORKED: int
    SPN_ENUMBERS: int
    SPN_ESTOPPED: int
    SPN_FANOUT_CPU: int
    SPN_FANOUT_HASH: int
    SPN_GROUP_ROUND_ROBIN: int
    SPN_GROUP_SERIAL: int
    SPN_LOG_DEBUG: int
    SPN_LOG_ERROR: int
    SPN_LOG_INFO: int
    SPN_LOG_WARNING: int
    SPN_MEMCPY_NONTEMPORAL: int
    SPN_MEMCPY_STD: int
    SPN_TRANSFER_FILL: int
    SPN_TRANSFER_FLOOD: int
    SPN_TRANSFER_LINK_READ: int
    SPN_TRANSFER_LINK_WRITE: int
    SPN_TRANSFER_READ: int
    SPN_TRANSFER_WRITE: int
    SPN_WINDOW_DUE: int
    SPN_WINDOW_ENDED: int
    SPN_WINDOW_FULL: int
    SPN_WINDOW_HELD: int
    SPN_WINDOW_REFUSED: int
    def spn_allocator_new_malloc(self, a: Out[spn_allocator], /) -> int: ...
    def spn_allocator_new_mmap(self, a: int, b: bool, c: Out[spn_allocator], /) -> int: ...
    def spn_allocator_new_pool(
        self,
        a: spn_threads,
        b: int,
        c: int,
        d: int,
        e: int,
        f: int,
        g: spn_allocator,
        h: Out[spn_allocator],
        /,
    ) -> int: ...
    def spn_allocator_read_pool_stats(
        self, a: spn_allocator, b: spn_pool_stats | Out[spn_pool_stats], /
    ) -> int: ...
    def spn_allocator_set_numa_node(self, a: spn_allocator, b: int, /) -> int: ...
    def spn_allocator_set_warn_on_empty(self, a: spn_allocator, b: bool, /) -> int: ...
    def spn_allocator_unref(self, a: spn_allocator, /) -> None: ...
    def spn_buffer_free(self, a: spn_buffer | Out[spn_buffer], /) -> None: ...
    def spn_buffer_new(self, a: spn_allocator, b: int, c: Out[spn_buffer], /) -> int: ...
    def spn_buffers_live(self) -> int: ...
    def spn_bulk_add(
        self, a: spn_bulk, b: spn_link, c: spn_transfer | Out[spn_transfer], /
    ) -> int: ...
    def spn_bulk_done(self, a: spn_bulk, /) -> int: ...
    def spn_bulk_free(self, a: spn_bulk, /) -> None: ...
    def spn_bulk_new(
        self, a: spn_window_config | Out[spn_window_config], b: Out[spn_bulk], /
    ) -> int: ...
    def spn_bulk_read_stats(
        self, a: spn_bulk, b: spn_window_stats | Out[spn_window_stats], /
    ) -> None: ...
    def spn_bulk_run(self, a: spn_bulk, b: int, /) -> int: ...
    def spn_group_write(
        self, a: spn_heap_reference | Out[spn_heap_reference], b: int, c: int, d: CData | bytes, /
    ) -> int: ...
    def spn_heap_clear(self, a: Out[spn_heap], /) -> None: ...
    def spn_heap_ref(self, a: spn_heap | Out[spn_heap], /) -> None: ...
    def spn_heap_unref(self, a: spn_heap | Out[spn_heap], /) -> None: ...
    def spn_heaps_live(self) -> int: ...
    def spn_inbox_free(self, a: spn_inbox, /) -> None: ...
    def spn_inbox_new(self, a: spn_threads, b: int, c: int, d: Out[spn_inbox], /) -> int: ...
    def spn_inbox_pop(
        self, a: spn_inbox, b: int, c: CData | bytes, d: int, e: CData | Sequence[int], f: int, /
    ) -> int: ...
    def spn_inbox_read_stats(
        self, a: spn_inbox, b: spn_inbox_stats | Out[spn_inbox_stats], /
    ) -> None: ...
    def spn_inbox_stop(self, a: spn_inbox, /) -> None: ...
    def spn_link_new(self, a: int, b: Out[spn_link], /) -> int: ...
    def spn_link_run(
        self,
        a: spn_link,
        b: spn_window,
        c: int,
        d: bool,
        e: spn_scp_outcome | Out[spn_scp_outcome],
        f: int,
        g: CData | Sequence[int],
        h: int,
        /,
    ) -> int: ...
    def spn_link_send(
        self, a: spn_link, b: spn_window, c: int, d: CData | Sequence[int], e: int, f: bool, /
    ) -> int: ...
    def spn_link_sequences(self, a: spn_link, /) -> spn_sequences: ...
    def spn_link_stop(self, a: spn_link, /) -> None: ...
    def spn_link_unref(self, a: spn_link, /) -> None: ...
    def spn_log_pop(self, a: int, b: spn_log_record | Out[spn_log_record], /) -> int: ...
    def spn_log_set_level(self, a: int, /) -> None: ...
    def spn_log_stop(self) -> None: ...
    def spn_log_try_pop(self, a: spn_log_record | Out[spn_log_record], /) -> int: ...
    def spn_memcpy_nontemporal_name(self) -> CData: ...
    def spn_packets_count(self, a: spn_packets, /) -> int: ...
    def spn_packets_length(self, a: spn_packets, b: int, /) -> int: ...
    def spn_packets_new(
        self,
        a: spn_send_item | Out[spn_send_item],
        b: int,
        c: int,
        d: int,
        e: bool,
        f: Out[spn_packets],
        /,
    ) -> int: ...
    def spn_packets_total(self, a: spn_packets, /) -> int: ...
    def spn_packets_unref(self, a: spn_packets, /) -> None: ...
    def spn_packets_write(self, a: spn_packets, b: int, c: int, d: CData | bytes, /) -> int: ...
    def spn_packets_write_all(self, a: spn_packets, b: int, c: CData | bytes, /) -> None: ...
    def spn_ring_fd(self, a: spn_ring, /) -> int: ...
    def spn_ring_give_back(self, a: spn_ring, b: Out[spn_heap], c: int, /) -> None: ...
    def spn_ring_length(self, a: spn_ring, /) -> int: ...
    def spn_ring_new(self, a: int, b: Out[spn_ring], /) -> int: ...
    def spn_ring_pop(self, a: spn_ring, b: int, c: Out[spn_heap], d: int, /) -> int: ...
    def spn_ring_stop(self, a: spn_ring, /) -> None: ...
    def spn_ring_try_pop(self, a: spn_ring, b: Out[spn_heap], c: int, /) -> int: ...
    def spn_ring_unref(self, a: spn_ring, /) -> None: ...
    def spn_scp_may_repeat(self, a: CData | Sequence[int], b: int, /) -> bool: ...
    def spn_scp_reply_length(self, a: CData | Sequence[int], b: int, /) -> int: ...
    def spn_sender_fd(self, a: spn_sender, /) -> int: ...
    def spn_sender_flush(self, a: spn_sender, b: int, /) -> int: ...
    def spn_sender_new(
        self,
        a: spn_threads,
        b: int,
        c: spn_endpoint | Out[spn_endpoint],
        d: int,
        e: spn_sender_config | Out[spn_sender_config],
        f: Out[spn_sender],
        /,
    ) -> int: ...
    def spn_sender_read_stats(
        self, a: spn_sender, b: spn_sender_stats | Out[spn_sender_stats], /
    ) -> None: ...
    def spn_sender_send(self, a: spn_sender, b: spn_packets, c: int, d: int, e: int, /) -> int: ...
    def spn_sender_send_group(
        self,
        a: spn_sender,
        b: spn_heap_reference | Out[spn_heap_reference],
        c: int,
        d: int,
        e: int,
        /,
    ) -> int: ...
    def spn_sender_set_cnt_sequence(self, a: spn_sender, b: int, c: int, /) -> int: ...
    def spn_sender_stop(self, a: spn_sender, /) -> None: ...
    def spn_sender_submit(
        self, a: spn_sender, b: spn_packets, c: int, d: int, e: int, f: int, /
    ) -> int: ...
    def spn_sender_submit_group(
        self,
        a: spn_sender,
        b: spn_heap_reference | Out[spn_heap_reference],
        c: int,
        d: int,
        e: int,
        f: int,
        /,
    ) -> int: ...
    def spn_sender_try_pop(
        self, a: spn_sender, b: spn_completion | Out[spn_completion], c: int, /
    ) -> int: ...
    def spn_sender_unref(self, a: spn_sender, /) -> None: ...
    def spn_sender_wait(
        self, a: spn_sender, b: int, c: int, d: CData | Sequence[int], /
    ) -> int: ...
    def spn_sequences_new(self, a: Out[spn_sequences], /) -> int: ...
    def spn_sequences_unref(self, a: spn_sequences, /) -> None: ...
    def spn_set_affinity(self, a: int, /) -> int: ...
    def spn_stream_add_memory_reader(self, a: spn_stream, b: CData | bytes, c: int, /) -> int: ...
    def spn_stream_add_packet_ring_reader(
        self, a: spn_stream, b: spn_packet_ring_config | Out[spn_packet_ring_config], /
    ) -> int: ...
    def spn_stream_add_udp_reader(
        self, a: spn_stream, b: int, c: spn_udp_reader_config | Out[spn_udp_reader_config], /
    ) -> int: ...
    def spn_stream_is_stopped(self, a: spn_stream, /) -> bool: ...
    def spn_stream_new(
        self,
        a: spn_threads,
        b: spn_stream_config | Out[spn_stream_config],
        c: spn_allocator,
        d: spn_ring,
        e: Out[spn_stream],
        /,
    ) -> int: ...
    def spn_stream_read_stats(
        self, a: spn_stream, b: spn_stream_stats | Out[spn_stream_stats], /
    ) -> None: ...
    def spn_stream_set_allocator(self, a: spn_stream, b: spn_allocator, /) -> None: ...
    def spn_stream_set_memcpy(self, a: spn_stream, b: int, /) -> int: ...
    def spn_stream_set_stop_on_stop_item(self, a: spn_stream, b: bool, /) -> None: ...
    def spn_stream_stop(self, a: spn_stream, /) -> None: ...
    def spn_stream_unref(self, a: spn_stream, /) -> None: ...
    def spn_strerror(self, a: int, /) -> CData: ...
    def spn_threads_count(self, a: spn_threads, /) -> int: ...
    def spn_threads_new(
        self, a: int, b: CData | Sequence[int], c: int, d: Out[spn_threads], /
    ) -> int: ...
    def spn_threads_set_spin(self, a: spn_threads, b: bool, /) -> None: ...
    def spn_threads_stop(self, a: spn_threads, /) -> None: ...
    def spn_threads_stop_all(self) -> None: ...
    def spn_threads_unref(self, a: spn_threads, /) -> None: ...
    def spn_window_doubt(self, a: spn_window, /) -> int: ...
    def spn_window_fail(self, a: spn_window, b: int, /) -> None: ...
    def spn_window_forget(self, a: spn_window, b: int, /) -> None: ...
    def spn_window_free(self, a: spn_window, /) -> None: ...
    def spn_window_match(self, a: spn_window, b: int, c: int, d: int, /) -> int: ...
    def spn_window_new(
        self, a: spn_window_config | Out[spn_window_config], b: spn_sequences, c: Out[spn_window], /
    ) -> int: ...
    def spn_window_offer(self, a: spn_window, b: int, c: int, /) -> int: ...
    def spn_window_pop(
        self,
        a: spn_window,
        b: spn_scp_outcome | Out[spn_scp_outcome],
        c: int,
        d: CData | Sequence[int],
        e: int,
        /,
    ) -> int: ...
    def spn_window_read_stats(
        self, a: spn_window, b: spn_window_stats | Out[spn_window_stats], /
    ) -> None: ...
    def spn_window_repeat(self, a: spn_window, b: int, /) -> None: ...
    def spn_window_step(
        self, a: spn_window, b: int, c: CData | Sequence[int], d: int, e: CData | Sequence[int], /
    ) -> int: ...
    def spn_window_submit(
        self, a: spn_window, b: int, c: CData | Sequence[int], d: int, e: bool, /
    ) -> int: ...

ffi: FFI
lib: Lib
