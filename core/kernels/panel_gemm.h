// Products of matrices by packed panels: see panel_gemm.cpp. All of this runs on the calling thread.
#pragma once

#include <tern/core/kernels/kernel.h>

TERN_DECLARE_KERNELS(
    /// Columns of a panel of B.
    template <class T> int64_t panel_width();
    /// Panels first .. last - 1 of b: [k, n], element (l, j) at b[l * row_stride + j * col_stride] with one stride 1,
    /// into panels[first * k * panel_width()] and on; columns from n on are zeros.
    template <class T> void pack_panel_range(const T* b, int64_t row_stride, int64_t col_stride, int64_t k, int64_t n,
                                             int64_t first, int64_t last, T* panels);
    /// Elements of scratch memory that multiply_panels needs for up to m rows; 0 where it reads A in place.
    template <class T> int64_t multiply_panels_scratch(int64_t m, int64_t k, int64_t a_row, int64_t a_col);
    /// C (+)= A B for n columns of C and as many of B, which begin at a panel: C [m, n], rows ldc apart; a(i, l) at
    /// a[i * a_row + l * a_col]; the panels are `panel_rows` rows long, of which the first k are used.
    template <class T>
    void multiply_panels(int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row, int64_t a_col, const T* panels,
                         int64_t panel_rows, T* c, int64_t ldc, bool accumulate, T* scratch);)
