! Which bytes of an event's data are wanted: made once, applied to any number of events.
module weftline_selection
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: real32, real64, int32, int64
  use weft_codes
  use weftline_c
  use weftline_support
  implicit none
  private
  public :: weft_box, weft_range, weft_strided, weft_narrow, linked

  ! Which bytes of an event's data are wanted; none given: all of them.
  type, public :: weft_selection
    private
    type(c_run), allocatable :: runs(:)
    type(c_run_level), allocatable :: levels(:) ! those of all runs, in order
  end type

contains

  !> The part of an array of this shape that begins at the indices `first` (from 1) and has `extent` items in each
  !> dimension; the first dimension is contiguous. Items of item_bytes, 8 if not given. WEFT_SELECTION_OUTSIDE.
  subroutine weft_box(selection, shape, first, extent, item_bytes, ierr, errmsg)
    type(weft_selection), intent(out) :: selection
    integer, intent(in) :: shape(:), first(:), extent(:)
    integer, intent(in), optional :: item_bytes
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    integer(c_int64_t) :: c_shape(size(shape)), c_origin(size(shape)), c_size(size(shape))
    type(c_run_level), target :: levels(max(1, size(shape) - 1))
    type(c_run) :: run
    integer(c_int) :: code
    integer :: dimensions
    dimensions = size(shape)
    if (size(first) /= dimensions .or. size(extent) /= dimensions .or. any(first < 1) .or. any(extent < 0)) then
      call fail(WEFT_INVALID_ARGUMENT, "WEFT_INVALID_ARGUMENT: shape, first and extent of a box must have as many " // &
          "dimensions, and indices begin with 1", ierr, words)
      if (present(errmsg)) errmsg = told(words)
      return
    end if
    ! C counts the dimensions from the other end.
    c_shape = int(shape(dimensions:1:-1), c_int64_t)
    c_origin = int(first(dimensions:1:-1) - 1, c_int64_t)
    c_size = int(extent(dimensions:1:-1), c_int64_t)
    code = c_weft_box(int(dimensions, c_int32_t), c_shape, c_origin, c_size, item_size(item_bytes), run, c_loc(levels))
    if (code == WEFT_OK) then
      selection%runs = [run]
      selection%levels = levels(1:dimensions - 1)
    end if
    call done(code, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  !> Items `first` to `last`, both included, from 1; as many ranges as the lists have, joined in this order.
  subroutine weft_range(selection, first, last, item_bytes)
    type(weft_selection), intent(out) :: selection
    integer(int64), intent(in) :: first(:), last(:)
    integer, intent(in), optional :: item_bytes
    integer :: i
    integer(c_int64_t) :: item
    item = item_size(item_bytes)
    allocate(selection%runs(0), selection%levels(0))
    do i = 1, min(size(first), size(last))
      if (last(i) < first(i)) cycle
      selection%runs = [selection%runs, c_run((first(i) - 1) * item, (last(i) - first(i) + 1) * item, 0, c_null_ptr)]
    end do
  end subroutine

  !> `count` pieces of `length` items, each `stride` items behind the one before, the first at item `first` (from 1).
  subroutine weft_strided(selection, first, length, stride, count, item_bytes)
    type(weft_selection), intent(out) :: selection
    integer(int64), intent(in) :: first, length, stride, count
    integer, intent(in), optional :: item_bytes
    integer(c_int64_t) :: item
    item = item_size(item_bytes)
    selection%runs = [c_run((first - 1) * item, length * item, 1, c_null_ptr)]
    selection%levels = [c_run_level(stride * item, count)]
  end subroutine

  !> What `inner` selects among the bytes of `outer`, counted along them: a column of a box. WEFT_SELECTION_OUTSIDE.
  subroutine weft_narrow(selection, outer, inner, ierr, errmsg)
    type(weft_selection), intent(out) :: selection
    type(weft_selection), intent(in) :: outer, inner
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out), optional :: errmsg
    character(:), allocatable :: words
    integer, parameter :: runs_max = 1024, levels_max = 8
    type(c_run), allocatable, target :: outer_runs(:), inner_runs(:), runs(:)
    type(c_run_level), allocatable, target :: outer_levels(:), inner_levels(:), levels(:)
    integer(c_int32_t) :: count
    integer(c_int) :: code
    call linked(outer, outer_runs, outer_levels)
    call linked(inner, inner_runs, inner_levels)
    allocate(runs(runs_max), levels(runs_max * levels_max))
    count = runs_max
    code = c_weft_narrow(c_loc(outer_runs), size(outer_runs, kind=c_int32_t), c_loc(inner_runs), &
        size(inner_runs, kind=c_int32_t), c_loc(runs), count, c_loc(levels))
    if (code == WEFT_OK) then
      selection%runs = runs(1:count)
      selection%levels = levels(1:sum(runs(1:count)%level_count)) ! they lie in order
    end if
    call done(code, ierr, words)
    if (present(errmsg)) errmsg = told(words)
  end subroutine

  ! Copies, whose runs point at their levels. At least one element each, so that they have an address.
  subroutine linked(selection, runs, levels)
    type(weft_selection), intent(in) :: selection
    type(c_run), allocatable, target, intent(out) :: runs(:)
    type(c_run_level), allocatable, target, intent(out) :: levels(:)
    integer :: i, next
    allocate(runs(0), levels(0))
    if (allocated(selection%runs)) runs = selection%runs
    if (allocated(selection%levels)) levels = selection%levels
    next = 1
    do i = 1, size(runs)
      runs(i)%levels = c_null_ptr
      if (runs(i)%level_count == 0) cycle
      runs(i)%levels = c_loc(levels(next))
      next = next + runs(i)%level_count
    end do
  end subroutine

end module weftline_selection
