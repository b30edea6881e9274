! The C API as Fortran sees it: structs and interfaces of weftline.h, one to one. Programs use the module weftline.
module weftline_c
  use, intrinsic :: iso_c_binding
  implicit none
  public

  integer(c_int64_t), parameter :: WEFT_FOREVER = -1_c_int64_t
  integer(c_int64_t), parameter :: WEFT_COMM_WORLD = -1_c_int64_t

  enum, bind(c)
    enumerator :: WEFT_FROM_EARLIEST = 0, WEFT_FROM_LATEST = 1, WEFT_FROM_OFFSET = 2, WEFT_FROM_TIME = 3
    enumerator :: WEFT_FROM_CURSOR = 4
  end enum
  enum, bind(c)
    enumerator :: WEFT_UNTIL_STOPPED = 0, WEFT_UNTIL_END = 1, WEFT_UNTIL_OFFSET = 2, WEFT_UNTIL_TIME = 3
  end enum
  enum, bind(c)
    enumerator :: WEFT_FULL_BLOCK = 0, WEFT_FULL_ERROR = 1, WEFT_FULL_DROP_NEWEST = 2
  end enum
  enum, bind(c)
    enumerator :: WEFT_ORDERING_STRICT = 0, WEFT_ORDERING_LOOSE = 1
  end enum

  type, bind(c) :: c_join_options
    integer(c_int32_t) :: size = 0, echo = 0
    type(c_ptr) :: role = c_null_ptr, name = c_null_ptr, group = c_null_ptr
    type(c_ptr) :: transports = c_null_ptr, bind_address = c_null_ptr
    integer(c_int64_t) :: timeout_ms = 30000, delivery_timeout_ms = 120000
    integer(c_int32_t) :: slots_expected = 0, reserved = 0
  end type

  type, bind(c) :: c_job_facts
    integer(c_int32_t) :: size = 0, rank = 0, world_size = 0, node_rank = 0, node_size = 0
    integer(c_int32_t) :: group_rank = 0, group_size = 0, server_count = 0
    type(c_ptr) :: role = c_null_ptr, name = c_null_ptr, mpi = c_null_ptr, group = c_null_ptr
    integer(c_int8_t) :: job_id(16) = 0
  end type

  type, bind(c) :: c_producer_options
    integer(c_int32_t) :: size = 0, batch_events = 128
    type(c_ptr) :: name = c_null_ptr
    integer(c_int64_t) :: batch_bytes = 524288, batch_data_bytes = 1048576
    integer(c_int32_t) :: batches_in_flight = 16, linger_ms = 2
    integer(c_int32_t) :: when_full = WEFT_FULL_BLOCK, ordering = WEFT_ORDERING_STRICT
  end type

  type, bind(c) :: c_consumer_options
    integer(c_int32_t) :: size = 0, from = WEFT_FROM_CURSOR
    type(c_ptr) :: name = c_null_ptr
    integer(c_int64_t) :: from_value = 0
    type(c_ptr) :: partitions = c_null_ptr
    integer(c_int32_t) :: partition_count = 0, prefetch_events = 0
    integer(c_int64_t) :: prefetch_bytes = 4194304
    integer(c_int32_t) :: until = WEFT_UNTIL_STOPPED, ack_every_events = 1000
    integer(c_int64_t) :: until_value = 0
    integer(c_int32_t) :: share_rank = 0, share_size = 0
  end type

  type, bind(c) :: c_event
    integer(c_int32_t) :: size = 0, partition = 0
    integer(c_int64_t) :: offset = 0
    integer(c_int32_t) :: partition_epoch = 0, reserved = 0
    integer(c_int64_t) :: time_ns = 0, append_time_ns = 0
    type(c_ptr) :: metadata = c_null_ptr
    integer(c_int64_t) :: metadata_length = 0, data_length = 0
  end type

  type, bind(c) :: c_event_id
    integer(c_int32_t) :: partition = 0, epoch = 0
    integer(c_int64_t) :: offset = 0
  end type

  type, bind(c) :: c_piece
    type(c_ptr) :: address = c_null_ptr
    integer(c_int64_t) :: length = 0
    type(c_ptr) :: region = c_null_ptr
  end type

  type, bind(c) :: c_run_level
    integer(c_int64_t) :: stride = 0, count = 0
  end type

  type, bind(c) :: c_run
    integer(c_int64_t) :: start = 0, length = 0
    integer(c_int32_t) :: level_count = 0
    type(c_ptr) :: levels = c_null_ptr
  end type

  type, bind(c) :: c_selection
    integer(c_int64_t) :: offset = 0, destination_at = 0
    type(c_ptr) :: runs = c_null_ptr
    integer(c_int32_t) :: run_count = 0
  end type

  interface
    function c_weft_error_text(job) bind(c, name="weft_error_text") result(text)
      import :: c_ptr
      type(c_ptr), value :: job
      type(c_ptr) :: text
    end function
    integer(c_int) function c_weft_join(world, options, job) bind(c, name="weft_join")
      import :: c_int, c_int64_t, c_ptr, c_join_options
      integer(c_int64_t), value :: world
      type(c_join_options), intent(in) :: options
      type(c_ptr), intent(out) :: job
    end function
    integer(c_int) function c_weft_attach(group, options, job) bind(c, name="weft_attach")
      import :: c_int, c_ptr, c_join_options
      type(c_ptr), value :: group
      type(c_join_options), intent(in) :: options
      type(c_ptr), intent(out) :: job
    end function
    integer(c_int) function c_weft_close(job) bind(c, name="weft_close")
      import :: c_int, c_ptr
      type(c_ptr), value :: job
    end function
    integer(c_int) function c_weft_job_describe(job, facts) bind(c, name="weft_job_describe")
      import :: c_int, c_ptr, c_job_facts
      type(c_ptr), value :: job
      type(c_job_facts), intent(out) :: facts
    end function
    integer(c_int64_t) function c_weft_job_group_communicator(job) bind(c, name="weft_job_group_communicator")
      import :: c_int64_t, c_ptr
      type(c_ptr), value :: job
    end function
    integer(c_int) function c_weft_topic_create(job, name, config, timeout_ms) bind(c, name="weft_topic_create")
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: job, name, config
      integer(c_int64_t), value :: timeout_ms
    end function
    integer(c_int) function c_weft_region_register(job, memory, length, region) bind(c, name="weft_region_register")
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: job, memory
      integer(c_int64_t), value :: length
      type(c_ptr), intent(out) :: region
    end function
    integer(c_int) function c_weft_region_allocate(job, length, region) bind(c, name="weft_region_allocate")
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: job
      integer(c_int64_t), value :: length
      type(c_ptr), intent(out) :: region
    end function
    type(c_ptr) function c_weft_region_memory(region) bind(c, name="weft_region_memory")
      import :: c_ptr
      type(c_ptr), value :: region
    end function
    integer(c_int64_t) function c_weft_region_length(region) bind(c, name="weft_region_length")
      import :: c_int64_t, c_ptr
      type(c_ptr), value :: region
    end function
    integer(c_int) function c_weft_region_wait(region, timeout_ms) bind(c, name="weft_region_wait")
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: region
      integer(c_int64_t), value :: timeout_ms
    end function
    integer(c_int) function c_weft_region_release(region) bind(c, name="weft_region_release")
      import :: c_int, c_ptr
      type(c_ptr), value :: region
    end function
    integer(c_int) function c_weft_producer_open(job, topic, options, producer) bind(c, name="weft_producer_open")
      import :: c_int, c_ptr, c_producer_options
      type(c_ptr), value :: job, topic
      type(c_producer_options), intent(in) :: options
      type(c_ptr), intent(out) :: producer
    end function
    integer(c_int) function c_weft_producer_stored_before(producer, partition, next_offset) &
        bind(c, name="weft_producer_stored_before")
      import :: c_int, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: producer
      integer(c_int32_t), value :: partition
      integer(c_int64_t), intent(out) :: next_offset
    end function
    integer(c_int) function c_weft_producer_close(producer, timeout_ms) bind(c, name="weft_producer_close")
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: producer
      integer(c_int64_t), value :: timeout_ms
    end function
    integer(c_int) function c_weft_push_pieces(producer, partition, metadata, metadata_length, pieces, piece_count, &
        receipt) bind(c, name="weft_push_pieces")
      import :: c_int, c_int32_t, c_int64_t, c_ptr, c_piece
      type(c_ptr), value :: producer, metadata
      integer(c_int32_t), value :: partition, piece_count
      integer(c_int64_t), value :: metadata_length
      type(c_piece), intent(in) :: pieces(*)
      integer(c_int64_t), intent(out) :: receipt
    end function
    integer(c_int) function c_weft_partition_of_key(producer, key, length, partition) &
        bind(c, name="weft_partition_of_key")
      import :: c_int, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: producer, key
      integer(c_int64_t), value :: length
      integer(c_int32_t), intent(out) :: partition
    end function
    integer(c_int) function c_weft_receipt_wait(producer, receipt, timeout_ms, id) bind(c, name="weft_receipt_wait")
      import :: c_int, c_int64_t, c_ptr, c_event_id
      type(c_ptr), value :: producer
      integer(c_int64_t), value :: receipt, timeout_ms
      type(c_event_id), intent(out) :: id
    end function
    integer(c_int) function c_weft_flush(producer, timeout_ms) bind(c, name="weft_flush")
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: producer
      integer(c_int64_t), value :: timeout_ms
    end function
    integer(c_int) function c_weft_sync(producer, timeout_ms) bind(c, name="weft_sync")
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: producer
      integer(c_int64_t), value :: timeout_ms
    end function
    integer(c_int) function c_weft_consumer_open(job, topic, options, consumer) bind(c, name="weft_consumer_open")
      import :: c_int, c_ptr, c_consumer_options
      type(c_ptr), value :: job, topic
      type(c_consumer_options), intent(in) :: options
      type(c_ptr), intent(out) :: consumer
    end function
    integer(c_int) function c_weft_consumer_close(consumer) bind(c, name="weft_consumer_close")
      import :: c_int, c_ptr
      type(c_ptr), value :: consumer
    end function
    integer(c_int) function c_weft_pull(consumer, timeout_ms, event) bind(c, name="weft_pull")
      import :: c_int, c_int64_t, c_ptr, c_event
      type(c_ptr), value :: consumer
      integer(c_int64_t), value :: timeout_ms
      type(c_event), intent(out) :: event
    end function
    integer(c_int) function c_weft_data_fetch(consumer, partition, selections, count, destination, length, region) &
        bind(c, name="weft_data_fetch")
      import :: c_int, c_int32_t, c_int64_t, c_ptr, c_selection
      type(c_ptr), value :: consumer, destination, region
      integer(c_int32_t), value :: partition, count
      type(c_selection), intent(in) :: selections(*)
      integer(c_int64_t), value :: length
    end function
    integer(c_int) function c_weft_box(dimensions, shape, origin, box_size, item_bytes, run, levels) &
        bind(c, name="weft_box")
      import :: c_int, c_int32_t, c_int64_t, c_ptr, c_run, c_run_level
      integer(c_int32_t), value :: dimensions
      integer(c_int64_t), intent(in) :: shape(*), origin(*), box_size(*)
      integer(c_int64_t), value :: item_bytes
      type(c_run), intent(out) :: run
      type(c_ptr), value :: levels
    end function
    integer(c_int) function c_weft_narrow(outer, outer_count, inner, inner_count, runs, run_count, levels) &
        bind(c, name="weft_narrow")
      import :: c_int, c_int32_t, c_ptr
      type(c_ptr), value :: outer, inner, runs, levels
      integer(c_int32_t), value :: outer_count, inner_count
      integer(c_int32_t), intent(inout) :: run_count
    end function
    integer(c_int) function c_weft_ack(consumer, partition, offset) bind(c, name="weft_ack")
      import :: c_int, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: consumer
      integer(c_int32_t), value :: partition
      integer(c_int64_t), value :: offset
    end function
    integer(c_int) function c_weft_commit_acknowledged(consumer, timeout_ms) bind(c, name="weft_commit_acknowledged")
      import :: c_int, c_int64_t, c_ptr
      type(c_ptr), value :: consumer
      integer(c_int64_t), value :: timeout_ms
    end function
    integer(c_int) function c_weft_consumer_seek(consumer, partitions, partition_count, from, from_value) &
        bind(c, name="weft_consumer_seek")
      import :: c_int, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: consumer, partitions
      integer(c_int32_t), value :: partition_count, from
      integer(c_int64_t), value :: from_value
    end function
    integer(c_int) function c_weft_consumer_lag(consumer, partition, next_offset, visible_end) &
        bind(c, name="weft_consumer_lag")
      import :: c_int, c_int32_t, c_int64_t, c_ptr
      type(c_ptr), value :: consumer
      integer(c_int32_t), value :: partition
      integer(c_int64_t), intent(out) :: next_offset, visible_end
    end function
    pure integer(c_size_t) function c_strlen(text) bind(c, name="strlen")
      import :: c_size_t, c_ptr
      type(c_ptr), value, intent(in) :: text
    end function
  end interface

end module weftline_c
